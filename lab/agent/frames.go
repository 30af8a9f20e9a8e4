package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Frame types: a byte, then a 32-bit length, then that many bytes.
const (
	frameStdin byte = iota
	frameEOF
	frameSignal
	frameStdout
	frameStderr
	frameExit
)

// maxFrame bounds what a peer can make us allocate.
const maxFrame = 1 << 20

// request is the JSON line that opens a connection.
type request struct {
	Args    []string `json:"args,omitempty"`
	Dir     string   `json:"dir,omitempty"`
	Env     []string `json:"env,omitempty"`
	Seconds int      `json:"seconds,omitempty"` // 0: no limit
	Dial    string   `json:"dial,omitempty"`    // carry bytes to this address instead
}

// result is the last frame.
type result struct {
	Code int    `json:"code"`
	Err  string `json:"err,omitempty"`
}

// frameWriter sends what is written to it as frames of one type. Several share a
// connection and its mutex.
type frameWriter struct {
	w    io.Writer
	mu   *sync.Mutex
	kind byte
}

// Write sends p in frames of bounded size.
func (f frameWriter) Write(p []byte) (int, error) {
	for sent := 0; ; {
		part := p[sent:min(len(p), sent+maxFrame)]
		f.mu.Lock()
		head := [5]byte{f.kind}
		binary.BigEndian.PutUint32(head[1:], uint32(len(part)))
		_, err := f.w.Write(append(head[:], part...))
		f.mu.Unlock()
		if err != nil {
			return sent, err
		}
		if sent += len(part); sent >= len(p) {
			return sent, nil
		}
	}
}

func readFrame(r io.Reader) (kind byte, p []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	p = make([]byte, n)
	_, err = io.ReadFull(r, p)
	return head[0], p, err
}
