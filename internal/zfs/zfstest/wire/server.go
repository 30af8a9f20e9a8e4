package wire

import (
	"context"
	"encoding/gob"
	"fmt"
	"net"
	"reflect"

	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// Serve answers calls on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, host *zfstest.Host) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			_ = answer(ctx, codec{gob.NewEncoder(conn), gob.NewDecoder(conn)}, service{host})
		}()
	}
}

// service is the host, but for what a function cannot be sent to.
type service struct{ *zfstest.Host }

// Transfer says how many bytes were sent.
func (s service) Transfer(ctx context.Context, t backup.Transfer) (sent int64, err error) {
	err = s.Host.Transfer(ctx, t, func(n int64) { sent = n })
	return sent, err
}

// answer serves one call. What goes wrong with the connection is the caller's to
// notice.
func answer(ctx context.Context, c codec, s service) error {
	var req request
	if err := c.Decode(&req); err != nil {
		return err
	}
	if req.Method == "MountSnapshot" {
		return mount(ctx, c, s)
	}
	m := reflect.ValueOf(s).MethodByName(req.Method)
	if !m.IsValid() {
		return c.Encode(replyOf(fmt.Errorf("no method %s", req.Method)))
	}
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < m.Type().NumIn(); i++ {
		arg := reflect.New(m.Type().In(i))
		if err := c.DecodeValue(arg); err != nil {
			return err
		}
		in = append(in, arg.Elem())
	}
	call := m.Call
	if m.Type().IsVariadic() {
		call = m.CallSlice
	}
	out := call(in)
	last := len(out) - 1
	err, _ := out[last].Interface().(error)
	if e := c.Encode(replyOf(err)); e != nil || err != nil {
		return e
	}
	for _, v := range out[:last] {
		if err := c.EncodeValue(v); err != nil {
			return err
		}
	}
	return nil
}

// mount keeps a snapshot mounted until the caller says so, or is gone.
func mount(ctx context.Context, c codec, s service) error {
	var snap backup.Snapshot
	if err := c.Decode(&snap); err != nil {
		return err
	}
	dir, unmount, err := s.MountSnapshot(ctx, snap)
	if e := c.Encode(replyOf(err)); e != nil || err != nil {
		if err == nil {
			_ = unmount()
		}
		return e
	}
	if err := c.Encode(dir); err != nil {
		_ = unmount()
		return err
	}
	var enough bool
	_ = c.Decode(&enough)
	return c.Encode(replyOf(unmount()))
}
