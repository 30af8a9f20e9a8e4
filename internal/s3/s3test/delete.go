package s3test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
)

// deleted is what became of one key of a DeleteObjects.
type deleted struct {
	Key          string
	VersionID    string `xml:"VersionId,omitempty"`
	DeleteMarker bool   `xml:",omitempty"`
	MarkerID     string `xml:"DeleteMarkerVersionId,omitempty"`
}

// drop deletes a version for good or, without one, lays a delete marker over the
// object. Gone is success. s.mu must be held.
func (s *Server) drop(c *call, b *bucket, key, id string) (deleted, error) {
	d := deleted{Key: key, VersionID: id}
	if id != "" {
		for _, v := range b.objects[key] {
			if v.ID == id {
				d.DeleteMarker = v.Marker
				return d, s.discard(b, v)
			}
		}
		return d, nil
	}
	if !b.versioned() {
		if v := b.latest(key); v != nil {
			return d, s.discard(b, v)
		}
		return d, nil
	}
	serial := s.next()
	marker := &version{attributes: attributes{Key: key}, ID: newID(serial), Serial: serial, Marker: true, Modified: c.now.UTC()}
	d.DeleteMarker, d.MarkerID = true, marker.ID
	return d, s.add(b, marker)
}

func (s *Server) deleteObject(c *call) error {
	s.mu.Lock()
	b, err := s.find(c)
	var d deleted
	if err == nil {
		d, err = s.drop(c, b, c.key, c.query.Get("versionId"))
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if d.DeleteMarker {
		c.w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	if id := d.VersionID + d.MarkerID; id != "" {
		c.w.Header().Set("X-Amz-Version-Id", id)
	}
	c.reply(http.StatusNoContent, "", nil)
	return nil
}

func (s *Server) deleteObjects(c *call) error {
	checked := c.r.Header.Get("Content-Md5") != "" || slices.ContainsFunc(algorithms, func(a algorithm) bool { return c.r.Header.Get(a.header) != "" })
	if !checked {
		return &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Missing required header for this request: Content-MD5"}
	}
	body, err := c.document()
	if err != nil {
		return err
	}
	var ask struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []struct {
			Key       string
			VersionID string `xml:"VersionId"`
		}
	}
	if err := decode(body, &ask); err != nil {
		return err
	}
	if len(ask.Object) == 0 || len(ask.Object) > 1000 {
		return malformed()
	}
	type failure struct {
		Key, Code, Message string
	}
	reply := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted
		Error   []failure
	}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err != nil {
		return err
	}
	for _, o := range ask.Object {
		action := "DeleteObject"
		if o.VersionID != "" {
			action += "Version"
		}
		if !c.access.may(action, c.bucketName, o.Key) {
			reply.Error = append(reply.Error, failure{o.Key, "AccessDenied", fmt.Sprintf("User is not authorized to perform: s3:%s", action)})
			continue
		}
		d, err := s.drop(c, b, o.Key, o.VersionID)
		if err != nil {
			return err
		}
		if !ask.Quiet {
			reply.Deleted = append(reply.Deleted, d)
		}
	}
	c.xml(http.StatusOK, reply)
	return nil
}
