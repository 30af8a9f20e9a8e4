package s3test

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const xmlTime = "2006-01-02T15:04:05.000Z"

// page is the part of a listing that one request asks for.
type page struct {
	prefix, delimiter, encoding string
	size                        int
	encode                      func(string) string
}

func (s *Server) page(c *call, sizeName string) (page, error) {
	p := page{c.query.Get("prefix"), c.query.Get("delimiter"), c.query.Get("encoding-type"), s.opt.PageSize, func(s string) string { return s }}
	switch p.encoding {
	case "":
	case "url":
		// A space is a plus, and slashes stay: what url.QueryUnescape undoes.
		p.encode = func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	default:
		return p, invalid("Invalid Encoding Method specified in Request")
	}
	if ask := c.query.Get(sizeName); ask != "" {
		n, err := strconv.Atoi(ask)
		if err != nil || n < 0 {
			return p, invalid("Argument " + sizeName + " must be an integer between 0 and 2147483647")
		}
		p.size = min(p.size, n)
	}
	return p, nil
}

// group is the common prefix that key falls into, empty if none.
func (p page) group(key string) string {
	if p.delimiter == "" {
		return ""
	}
	before, _, ok := strings.Cut(key[len(p.prefix):], p.delimiter)
	if !ok {
		return ""
	}
	return p.prefix + before + p.delimiter
}

// from is where the keys below the prefix and after a key begin.
func (b *bucket) from(p page, after string) int {
	i, _ := slices.BinarySearch(b.keys, p.prefix)
	if after != "" {
		j, found := slices.BinarySearch(b.keys, after)
		if found {
			j++
		}
		i = max(i, j)
	}
	return i
}

type commonPrefix struct{ Prefix string }

type content struct {
	Key               string
	LastModified      string
	ETag              string
	ChecksumAlgorithm []string `xml:",omitempty"`
	ChecksumType      string   `xml:",omitempty"`
	Size              int64
	StorageClass      string
}

func (v *version) algorithms() []string {
	var names []string
	for _, a := range algorithms {
		if v.Sums[a.name] != "" {
			names = append(names, a.name)
		}
	}
	return names
}

func (s *Server) listObjects(c *call) error {
	p, err := s.page(c, "max-keys")
	if err != nil {
		return err
	}
	after := c.query.Get("start-after")
	token := c.query.Get("continuation-token")
	if token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return invalid("The continuation token provided is incorrect")
		}
		after = string(b)
	}
	reply := struct {
		XMLName                             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix                        string
		Delimiter, EncodingType, StartAfter string `xml:",omitempty"`
		KeyCount, MaxKeys                   int
		IsTruncated                         bool
		ContinuationToken                   string `xml:",omitempty"`
		NextContinuationToken               string `xml:",omitempty"`
		Contents                            []content
		CommonPrefixes                      []commonPrefix
	}{Name: c.bucketName, Prefix: p.encode(p.prefix), Delimiter: p.encode(p.delimiter), EncodingType: p.encoding,
		StartAfter: p.encode(c.query.Get("start-after")), MaxKeys: p.size, ContinuationToken: token}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err != nil {
		return err
	}
	last, skip := "", ""
	if after != "" && p.delimiter != "" && strings.HasPrefix(after, p.prefix) {
		skip = p.group(after) // the page before ended with this group
	}
	for _, key := range b.keys[b.from(p, after):] {
		if !strings.HasPrefix(key, p.prefix) {
			break
		}
		v := b.latest(key)
		group := p.group(key)
		if v == nil || group != "" && group == skip {
			continue
		}
		if reply.KeyCount == p.size {
			reply.IsTruncated = p.size > 0
			reply.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		last = key
		reply.KeyCount++
		if group != "" {
			skip = group
			reply.CommonPrefixes = append(reply.CommonPrefixes, commonPrefix{p.encode(group)})
			continue
		}
		reply.Contents = append(reply.Contents, content{p.encode(key), v.Modified.Format(xmlTime), `"` + v.ETag + `"`, v.algorithms(), v.SumType, v.Size, v.Class})
	}
	c.xml(http.StatusOK, reply)
	return nil
}

// row is a version or a delete marker, in the order of the listing.
type row struct {
	XMLName           xml.Name
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      string
	ETag              string   `xml:",omitempty"`
	ChecksumAlgorithm []string `xml:",omitempty"`
	ChecksumType      string   `xml:",omitempty"`
	Size              *int64   `xml:",omitempty"`
	StorageClass      string   `xml:",omitempty"`
}

func (p page) row(v *version, latest bool) row {
	r := row{XMLName: xml.Name{Local: "DeleteMarker"}, Key: p.encode(v.Key), VersionID: v.ID, IsLatest: latest, LastModified: v.Modified.Format(xmlTime)}
	if !v.Marker {
		r.XMLName.Local = "Version"
		r.ETag, r.ChecksumAlgorithm, r.ChecksumType, r.Size, r.StorageClass = `"`+v.ETag+`"`, v.algorithms(), v.SumType, &v.Size, v.Class
	}
	return r
}

func (s *Server) listVersions(c *call) error {
	p, err := s.page(c, "max-keys")
	if err != nil {
		return err
	}
	if p.delimiter != "" {
		return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "Versions are listed without a delimiter here."}
	}
	keyMarker, idMarker := c.query.Get("key-marker"), c.query.Get("version-id-marker")
	if idMarker != "" && keyMarker == "" {
		return invalid("A version-id marker cannot be specified without a key marker.")
	}
	reply := struct {
		XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
		Name, Prefix        string
		KeyMarker           string
		VersionIDMarker     string `xml:"VersionIdMarker"`
		NextKeyMarker       string `xml:",omitempty"`
		NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
		MaxKeys             int
		EncodingType        string `xml:",omitempty"`
		IsTruncated         bool
		Rows                []row
	}{Name: c.bucketName, Prefix: p.encode(p.prefix), KeyMarker: p.encode(keyMarker), VersionIDMarker: idMarker, MaxKeys: p.size, EncodingType: p.encoding}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err != nil {
		return err
	}
	i := b.from(p, keyMarker)
	if idMarker != "" && i > 0 && b.keys[i-1] == keyMarker {
		i-- // the rest of that key's versions
	}
	for _, key := range b.keys[i:] {
		if !strings.HasPrefix(key, p.prefix) {
			break
		}
		versions := b.objects[key]
		for j := len(versions) - 1; j >= 0; j-- {
			if key == keyMarker && idMarker != "" {
				if versions[j].ID == idMarker {
					idMarker = ""
				}
				continue
			}
			if len(reply.Rows) == p.size {
				last := reply.Rows[p.size-1]
				reply.IsTruncated, reply.NextKeyMarker, reply.NextVersionIDMarker = true, last.Key, last.VersionID
				c.xml(http.StatusOK, reply)
				return nil
			}
			reply.Rows = append(reply.Rows, p.row(versions[j], j == len(versions)-1))
		}
	}
	c.xml(http.StatusOK, reply)
	return nil
}

// listUploads lists the multipart uploads in progress, all on one page.
func (s *Server) listUploads(c *call) error {
	p, err := s.page(c, "max-uploads")
	if err != nil {
		return err
	}
	type row struct {
		Key          string
		UploadID     string `xml:"UploadId"`
		Initiated    string
		StorageClass string
	}
	reply := struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		Bucket       string
		Prefix       string
		EncodingType string `xml:",omitempty"`
		IsTruncated  bool
		Upload       []row
	}{Bucket: c.bucketName, Prefix: p.encode(p.prefix), EncodingType: p.encoding}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err != nil {
		return err
	}
	for _, u := range b.uploads {
		if strings.HasPrefix(u.Key, p.prefix) {
			reply.Upload = append(reply.Upload, row{p.encode(u.Key), u.ID, u.Begun.Format(xmlTime), u.Class})
		}
	}
	slices.SortFunc(reply.Upload, func(x, y row) int {
		return strings.Compare(x.Key+"\x00"+x.Initiated, y.Key+"\x00"+y.Initiated)
	})
	c.xml(http.StatusOK, reply)
	return nil
}
