package pvetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query is a request on its way through the cluster.
type query struct {
	node   *node // that carries it out
	user   string
	path   map[string]string // of the URL
	values map[string][]string
	total  int // for the answer
}

func (q *query) has(name string) bool { return q.text(name) != "" }

func (q *query) text(name string) string {
	if v, ok := q.path[name]; ok {
		return v
	}
	if v := q.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (q *query) number(name string, fallback int) int {
	if n, err := strconv.Atoi(q.text(name)); err == nil {
		return n
	}
	return fallback
}

// params are the parameters with those of the path, as the vendor's code gets them.
func (q *query) params() map[string]string {
	all := maps.Clone(q.path)
	for name, values := range q.values {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// refusal is an answer that says no.
type refusal struct {
	code    int
	message string
	errors  map[string]string // by parameter
}

func wrong(param, why string) *refusal {
	return &refusal{400, "Parameter verification failed.\n", map[string]string{param: why}}
}

// Handler is what listens on one node's port 8006.
func (c *Cluster) Handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		f := c.fault(name, r)
		if f != nil {
			if f.Do != nil {
				f.Do(c)
			}
			f.wait(r.Context()) // a client that gives up does not stop a server
		}
		code, message, answer := c.serve(name, r, body, f)
		if f != nil && f.CutAfter || code == cutOff {
			hangUp(w)
			return
		}
		respond(w, code, message, answer)
	})
}

// cutOff is the code of an answer that never comes: the node went down.
const cutOff = -1

// serve carries out one request and puts it into the journal.
func (c *Cluster) serve(name string, r *http.Request, body []byte, f *fault) (code int, message string, answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added.Add(int64(c.cfg.Tick))
	c.settle()
	q := &query{node: c.node(name), values: decode(r.URL.RawQuery)}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		form := decode(string(body))
		maps.Copy(form, q.values)
		q.values = form
	}
	delete(q.values, "_dc")
	entry := Request{At: c.now(), Node: name, Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/api2/json"), Form: q.values, From: r.RemoteAddr}
	defer func() {
		entry.Code = code
		c.journal = append(c.journal, entry)
	}()
	switch {
	case q.node.down:
		return cutOff, "", nil
	case f != nil && f.Cut:
		return cutOff, "", nil
	case f != nil && f.Code != 0:
		return f.Code, cmp.Or(f.Reason, http.StatusText(f.Code)), f.answer()
	}
	var data any
	user, no := c.authenticate(r.Header.Get("Authorization"))
	if no == nil {
		entry.Token, q.user = user, user
		data, no = c.carryOut(q, r.Method, entry.Path, r.URL.EscapedPath())
	}
	if no == nil {
		return http.StatusOK, "OK", encode(data, q.total, nil)
	}
	if no.code == http.StatusUnauthorized || no.code >= 595 {
		return no.code, no.message, nil // these have no body
	}
	return no.code, no.message, encode(nil, 0, no)
}

// carryOut follows the order of PVE/HTTPServer.pm: the method, its permission, the
// node that it is for, its parameters, and then the work.
func (c *Cluster) carryOut(q *query, method, path, escaped string) (any, *refusal) {
	rel, ok := strings.CutPrefix(escaped, "/api2/json")
	rt := c.route(q, method, rel)
	if !ok || rt == nil {
		if !ok || c.schema == nil || !c.schema.knows(method, rel) {
			c.wrongs = append(c.wrongs, fmt.Sprintf("%s %s is not in the API", method, path))
		}
		return nil, &refusal{code: 501, message: fmt.Sprintf("Method '%s %s' not implemented", method, path)}
	}
	for name := range q.values {
		if v, ok := q.path[name]; ok && v != q.text(name) {
			return nil, wrong(name, "duplicate parameter (already defined in URI) with conflicting values!")
		}
	}
	if rt.needs != nil {
		where, privileges := rt.needs(q)
		if r := c.must(q.user, where, privileges...); r != nil {
			return nil, r
		}
	}
	if name, ok := q.path["node"]; ok && name != "localhost" {
		switch n := c.node(name); {
		case n == nil:
			return nil, &refusal{code: 500, message: fmt.Sprintf("hostname lookup '%s' failed - failed to get address info for: %[1]s: Name or service not known\n", name)}
		case n.down:
			return nil, &refusal{code: 595, message: "No route to host"}
		default:
			q.node = n
		}
	}
	if r := c.check(rt, q); r != nil {
		c.wrongs = append(c.wrongs, fmt.Sprintf("%s %s: %v", method, path, r.errors))
		return nil, r
	}
	data, no := rt.do(q)
	if no == nil && c.schema != nil {
		if err := c.schema.checkAnswer(rt.method, rt.path, data); err != nil {
			c.wrongs = append(c.wrongs, fmt.Sprintf("the simulator's answer to %s %s: %v", method, path, err))
		}
	}
	return data, no
}

func encode(data any, total int, no *refusal) []byte {
	answer := map[string]any{"data": data}
	if total > 0 {
		answer["total"] = total
	}
	if no != nil {
		answer["message"] = no.message
		if no.errors != nil {
			answer["errors"] = no.errors
		}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		panic(err) // maps and texts of our own
	}
	return b
}

// respond writes an answer as PVE/APIServer/AnyEvent.pm does: the reason is the
// message's first line, which net/http would not write, and an error closes the
// connection.
func respond(w http.ResponseWriter, code int, message string, body []byte) {
	h := w.Header()
	h.Set("Server", "pve-api-daemon/3.0")
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "max-age=0")
	h.Set("Pragma", "no-cache")
	hijack, ok := w.(http.Hijacker)
	if code < 300 || !ok {
		w.WriteHeader(code)
		_, _ = w.Write(body) // a client that has gone
		return
	}
	conn, buf, err := hijack.Hijack()
	if err != nil {
		return
	}
	reason, _, _ := strings.Cut(message, "\n")
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if len(body) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\n", code, reason)
	_ = h.Write(buf)
	fmt.Fprintf(buf, "\r\n%s", body)
	_ = buf.Flush()
	_ = conn.Close()
}

func hangUp(w http.ResponseWriter) {
	if hijack, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijack.Hijack(); err == nil {
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// decode reads a form as the vendor does: what follows a second = that is not
// escaped is lost, and a name without a value is as good as absent.
func decode(text string) map[string][]string {
	values := map[string][]string{}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '&' || r == ';' }) {
		pieces := strings.Split(part, "=")
		name, err := url.QueryUnescape(pieces[0])
		if err != nil || len(pieces) < 2 || pieces[1] == "" {
			continue
		}
		if value, err := url.QueryUnescape(pieces[1]); err == nil {
			values[name] = append(values[name], value)
		}
	}
	return values
}

// separated is a list as PVE/Tools.pm splits it.
func separated(text string) []string {
	return slices.Collect(strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(",; \x00", r) }))
}
