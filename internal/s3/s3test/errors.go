package s3test

import (
	"encoding/xml"
	"errors"
	"net/http"
)

// Error is an answer of S3 that is no success.
type Error struct {
	Status  int
	Code    string
	Message string
	Region  string // where the bucket is instead
}

// Error is the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func invalid(message string) error {
	return &Error{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: message}
}

func malformed() error {
	return &Error{Status: http.StatusBadRequest, Code: "MalformedXML", Message: "The XML you provided was not well-formed or did not validate against our published schema."}
}

func badDigest(what string) error {
	return &Error{Status: http.StatusBadRequest, Code: "BadDigest", Message: "The " + what + " you specified did not match what we received."}
}

func noSuchKey() error {
	return &Error{Status: http.StatusNotFound, Code: "NoSuchKey", Message: "The specified key does not exist."}
}

func noSuchUpload() error {
	return &Error{Status: http.StatusNotFound, Code: "NoSuchUpload", Message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
}

// signatureError is the refusal of a signature. Amazon's answer repeats the key ID
// and what it signed; so does this one, for whoever might log it.
type signatureError struct {
	keyID, canonical, toSign string
}

func (e *signatureError) Error() string { return "SignatureDoesNotMatch" }

// fail answers with an error.
func (c *call) fail(err error) {
	body := struct {
		XMLName          xml.Name `xml:"Error"`
		Code             string
		Message          string
		AWSAccessKeyID   string `xml:"AWSAccessKeyId,omitempty"`
		StringToSign     string `xml:",omitempty"`
		CanonicalRequest string `xml:",omitempty"`
		Region           string `xml:",omitempty"`
		Resource         string
		RequestID        string `xml:"RequestId"`
	}{Resource: c.r.URL.Path, RequestID: c.id}
	status := http.StatusInternalServerError
	var api *Error
	var sig *signatureError
	switch {
	case errors.As(err, &api):
		status, body.Code, body.Message, body.Region = api.Status, api.Code, api.Message, api.Region
	case errors.As(err, &sig):
		status, body.Code = http.StatusForbidden, "SignatureDoesNotMatch"
		body.Message = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
		body.AWSAccessKeyID, body.StringToSign, body.CanonicalRequest = sig.keyID, sig.toSign, sig.canonical
	default:
		body.Code, body.Message = "InternalError", err.Error()
	}
	if c.r.Method == http.MethodHead || status == http.StatusNotModified {
		c.w.WriteHeader(status) // no body, so no code either
		return
	}
	c.xml(status, body)
}

// xml answers with a document.
func (c *call) xml(status int, doc any) {
	b, err := xml.Marshal(doc)
	if err != nil {
		http.Error(c.w, err.Error(), http.StatusInternalServerError)
		return
	}
	c.reply(status, "application/xml", append([]byte(xml.Header), b...))
}

// reply answers with a body, unless the fault script has it lost.
func (c *call) reply(status int, contentType string, body []byte) {
	c.fault.after(c)
	if contentType != "" {
		c.w.Header().Set("Content-Type", contentType)
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // nobody is there any more
}

// decode reads an XML body.
func decode(body []byte, doc any) error {
	if err := xml.Unmarshal(body, doc); err != nil {
		return malformed()
	}
	return nil
}
