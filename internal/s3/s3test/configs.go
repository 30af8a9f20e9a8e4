package s3test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

const (
	sizeHeader      = "X-Amz-Transition-Default-Minimum-Object-Size"
	defaultSmallest = "all_storage_classes_128K" // Amazon's, if nothing is said
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CreateBucket makes an empty bucket without versions.
func (s *Server) CreateBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bucketName.MatchString(name) {
		return &Error{Status: http.StatusBadRequest, Code: "InvalidBucketName", Message: "The specified bucket is not valid."}
	}
	if s.buckets[name] != nil {
		return &Error{Status: http.StatusConflict, Code: "BucketAlreadyOwnedByYou", Message: "Your previous request to create the named bucket succeeded and you already own it."}
	}
	b := newBucket(name, s.opt.Now())
	if err := s.save(b, "buckets", name); err != nil {
		return err
	}
	s.buckets[name] = b
	return nil
}

// EnableVersioning makes a bucket keep versions.
func (s *Server) EnableVersioning(name string) error {
	return s.Configure(name, "versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
}

// Configure sets a bucket's configuration, by the query's word for it (versioning,
// publicAccessBlock, encryption, lifecycle, ownershipControls, policy). smallest is
// lifecycle's TransitionDefaultMinimumObjectSize; Amazon's default unless given.
func (s *Server) Configure(name, what, document string, smallest ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return &Error{Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist"}
	}
	conf := config{Body: []byte(document)}
	if what == "lifecycle" {
		conf.Header = append(smallest, defaultSmallest)[0]
	}
	return s.configure(b, what, conf)
}

func (s *Server) configure(b *bucket, what string, conf config) error {
	old, had := b.Configs[what]
	b.Configs[what] = conf
	err := s.save(b, "buckets", b.Name)
	if err != nil && had {
		b.Configs[what] = old
	}
	return err
}

func (b *bucket) versioned() bool {
	return strings.Contains(string(b.Configs["versioning"].Body), "<Status>Enabled</Status>")
}

func (s *Server) createBucket(c *call) error {
	if err := s.CreateBucket(c.bucketName); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucketName)
	c.reply(http.StatusOK, "", nil)
	return nil
}

func (s *Server) headBucket(c *call) error {
	s.mu.Lock()
	_, err := s.find(c)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", s.opt.Region)
	c.reply(http.StatusOK, "", nil)
	return nil
}

func (s *Server) getLocation(c *call) error {
	s.mu.Lock()
	_, err := s.find(c)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	region := s.opt.Region
	if region == "us-east-1" {
		region = "" // the oldest region has no name here
	}
	c.xml(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region})
	return nil
}

func (s *Server) getConfig(c *call, what string) error {
	s.mu.Lock()
	b, err := s.find(c)
	var conf config
	var ok bool
	if err == nil {
		conf, ok = b.Configs[what]
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case !ok && configs[what].missing != "":
		return &Error{Status: http.StatusNotFound, Code: configs[what].missing, Message: "The configuration was not found"}
	case !ok:
		conf.Body = []byte("<" + configs[what].root + "/>")
	}
	if conf.Header != "" {
		c.w.Header().Set(sizeHeader, conf.Header)
	}
	kind := "application/xml"
	if configs[what].root == "" {
		kind = "application/json"
	}
	c.reply(http.StatusOK, kind, conf.Body)
	return nil
}

func (s *Server) putConfig(c *call, what string) error {
	body, err := c.document()
	if err != nil {
		return err
	}
	if root := configs[what].root; root == "" {
		if !json.Valid(body) {
			return &Error{Status: http.StatusBadRequest, Code: "MalformedPolicy", Message: "Policies must be valid JSON and the first byte must be '{'"}
		}
	} else {
		var doc struct{ XMLName xml.Name }
		if err := decode(body, &doc); err != nil || doc.XMLName.Local != root {
			return malformed()
		}
	}
	if what == "versioning" && strings.Contains(string(body), "Suspended") {
		return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "Versioning is not suspended here."}
	}
	conf := config{Body: body}
	if what == "lifecycle" {
		conf.Header = defaultSmallest
		if h := c.r.Header.Get(sizeHeader); h != "" {
			conf.Header = h
		}
	}
	s.mu.Lock()
	b, err := s.find(c)
	if err == nil {
		err = s.configure(b, what, conf)
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if conf.Header != "" {
		c.w.Header().Set(sizeHeader, conf.Header)
	}
	c.reply(http.StatusOK, "", nil)
	return nil
}
