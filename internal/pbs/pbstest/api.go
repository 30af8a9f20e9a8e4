package pbstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// base is where the API is.
const base = "/api2/json"

// call is one request on its way to its handler.
type call struct {
	params url.Values // of path, query and form
	token  *token     // nil: nobody
}

func (c *call) str(name string) string { return c.params.Get(name) }

func (c *call) has(name string) bool { return c.params.Has(name) }

// num is an integer parameter; one that is missing or wrong is missing.
func (c *call) num(name string, missing int64) int64 {
	n, err := strconv.ParseInt(c.params.Get(name), 10, 64)
	if err != nil {
		return missing
	}
	return n
}

func (c *call) yes(name string, missing bool) bool {
	v, ok := parseBool(c.params.Get(name))
	if !ok {
		return missing
	}
	return v
}

// parseBool reads a boolean as the server does.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, true
	case "0", "off", "no", "false":
		return false, true
	}
	return false, false
}

// refusal is an answer other than 200: plain text.
type refusal struct {
	code int
	text string
}

// Error is the text.
func (r refusal) Error() string { return r.text }

// bad is what the server answers to nearly everything that is wrong.
func bad(format string, args ...any) error {
	return refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var errPermission = refusal{http.StatusForbidden, "permission check failed"}

// page is an answer with more in its envelope than data.
type page struct {
	data  any
	total int
}

// route is one call of the API.
type route struct {
	method, path string
	need         []Role // any of them; none: every token
	open         bool   // without a token, too
	handle       func(c *call) (any, error)
}

// ServeHTTP is needed to be a handler of the mux, which only finds the route.
func (r route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := s.answer(r)
	if out.delay {
		s.conf.Delay()
	}
	if out.cut {
		panic(http.ErrAbortHandler) // the connection closes without an answer
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8") // of errors too
	w.WriteHeader(out.code)
	_, _ = w.Write(out.body)
}

type outcome struct {
	code       int
	body       []byte
	delay, cut bool
}

// answer finds the route, checks, carries out and takes it all down.
func (s *Server) answer(r *http.Request) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return outcome{cut: true}
	}
	s.settle()
	entry := Request{At: s.now(), Method: r.Method, Path: r.URL.Path}
	h, pattern := s.mux.Handler(r)
	rt, known := h.(route)
	c := &call{params: url.Values{}}
	if known {
		entry.Path = rt.path
		c.params = pathParams(pattern, r.URL.EscapedPath())
	}
	c.token, entry.Token = s.who(r.Header.Get("Authorization"))
	paramsErr := addParams(r, c.params)
	entry.Params = c.params
	at := len(s.journal)
	s.journal = append(s.journal, entry)

	fault := s.fault(r.Method, entry.Path)
	out := outcome{cut: fault != nil && fault.Code == 0}
	var data any
	var err error
	switch {
	case fault != nil && fault.Code != 0:
		err = refusal{fault.Code, fault.Text}
	case fault != nil && !fault.Late:
		err = refusal{} // cut before anything is done
	case !known:
		s.violate("%s %s: no such call", r.Method, r.URL.Path)
		err = refusal{http.StatusNotFound, fmt.Sprintf("Path '%s' not found.", r.URL.Path)}
	case c.token == nil && !rt.open:
		out.delay, err = true, refusal{http.StatusUnauthorized, "authentication failed"}
	case paramsErr != nil:
		err = bad("%s", paramsErr)
	default:
		data, err = s.carryOut(rt, c)
	}
	out.code, out.body = s.encode(rt, data, err)
	s.journal[at].Code = out.code
	if out.cut {
		s.journal[at].Code = 0
	}
	return out
}

// carryOut checks the parameters and the permission, in the real server's order,
// and calls the handler.
func (s *Server) carryOut(rt route, c *call) (any, error) {
	if s.schema != nil {
		if err := s.schema.checkParams(rt.method, rt.path, c.params); err != nil {
			s.violate("%s %s: %s", rt.method, rt.path, err)
			return nil, bad("%s", err)
		}
	}
	if len(rt.need) > 0 && !c.may(rt.need...) {
		return nil, errPermission
	}
	return rt.handle(c)
}

// may says whether the token has one of the roles.
func (c *call) may(roles ...Role) bool {
	return c.token != nil && slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(c.token.roles, r) })
}

// encode makes the body, and checks it against the schema.
func (s *Server) encode(rt route, data any, err error) (int, []byte) {
	var no refusal
	if errors.As(err, &no) {
		return no.code, []byte(no.text)
	}
	if err != nil {
		return http.StatusBadRequest, []byte(err.Error())
	}
	envelope := map[string]any{"data": data}
	if p, ok := data.(page); ok {
		envelope = map[string]any{"data": p.data, "total": p.total, "success": 1}
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		s.violate("%s %s: %s", rt.method, rt.path, err)
		return http.StatusInternalServerError, nil
	}
	if s.schema != nil && rt.handle != nil {
		if err := s.schema.checkAnswer(rt.method, rt.path, body); err != nil {
			s.violate("%s %s: our own answer: %s", rt.method, rt.path, err)
		}
	}
	return http.StatusOK, body
}

// who finds the token of a request; its ID is known even if it is refused.
func (s *Server) who(header string) (*token, string) {
	text, ok := strings.CutPrefix(header, "PBSAPIToken=")
	id, secret, _ := strings.Cut(text, ":")
	if !ok {
		return nil, ""
	}
	for _, t := range s.tokens {
		if t.id == id && t.secret == secret {
			return t, id
		}
	}
	return nil, id
}

// pathParams takes the parameters out of a path by its pattern's {names}.
func pathParams(pattern, path string) url.Values {
	v := url.Values{}
	_, pattern, _ = strings.Cut(pattern, " ")
	parts := strings.Split(path, "/")
	for i, p := range strings.Split(pattern, "/") {
		name, ok := strings.CutPrefix(p, "{")
		if !ok || i >= len(parts) {
			continue
		}
		if value, err := url.PathUnescape(parts[i]); err == nil {
			v.Set(strings.TrimSuffix(name, "}"), value)
		}
	}
	return v
}

// maxForm bounds a form, in bytes; the real server takes as much.
const maxForm = 64 << 10

// addParams adds the parameters of query and form.
func addParams(r *http.Request, to url.Values) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return err
	}
	for name, values := range r.Form {
		if to.Has(name) {
			return fmt.Errorf("parameter '%s' is given twice", name)
		}
		to[name] = values
	}
	return nil
}
