package pvetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Start listens on a free port of the loopback for every node, until Close.
func (c *Cluster) Start() error {
	addrs := make([]string, len(c.nodes))
	for i := range addrs {
		addrs[i] = "127.0.0.1:0"
	}
	return c.listen(context.Background(), addrs)
}

// Serve listens on one address per node, in the order of Config.Nodes, until the
// context ends. It prints nothing; URLs and Fingerprints say what there is.
func (c *Cluster) Serve(ctx context.Context, addrs []string) error {
	if err := c.listen(ctx, addrs); err != nil {
		return err
	}
	<-ctx.Done()
	return c.Close()
}

// Close ends listening and every connection.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		if n.server != nil {
			errs = append(errs, n.server.Close()) // closes connections too, which takes the lock
		}
	}
	c.mu.Lock()
	for _, n := range c.nodes {
		n.cut()
	}
	c.mu.Unlock()
	c.serving.Wait()
	return errors.Join(errs...)
}

// URLs are where the nodes listen, in the order of Config.Nodes.
func (c *Cluster) URLs() (urls []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.listener != nil {
			urls = append(urls, "https://"+n.listener.Addr().String())
		}
	}
	return urls
}

// Fingerprints are those of the nodes' certificates, as they are now.
func (c *Cluster) Fingerprints() (prints []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		prints = append(prints, n.cert.fingerprint)
	}
	return prints
}

func (c *Cluster) listen(ctx context.Context, addrs []string) error {
	if len(addrs) != len(c.nodes) {
		return fmt.Errorf("%d addresses for %d nodes", len(addrs), len(c.nodes))
	}
	for i, n := range c.nodes {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addrs[i])
		if err != nil {
			return errors.Join(fmt.Errorf("node %s: %w", n.name, err), c.Close())
		}
		n.server = &http.Server{
			Handler: c.Handler(n.name), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
			TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1, as Proxmox VE
			TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				return &n.cert.tls, nil
			}},
		}
		c.mu.Lock()
		n.listener = gate{l, c, n}
		c.mu.Unlock()
		c.serving.Add(1)
		go func() {
			defer c.serving.Done()
			_ = n.server.ServeTLS(n.listener, "", "") // always an error, at Close
		}()
	}
	return nil
}

// gate lets nobody in while its node is down, and knows who is in.
type gate struct {
	net.Listener
	c *Cluster
	n *node
}

// Accept waits for a connection.
func (g gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.c.mu.Lock()
		down := g.n.down
		if !down {
			g.n.conns[conn] = true
			conn = tracked{conn, g}
		}
		g.c.mu.Unlock()
		if !down {
			return conn, nil
		}
		_ = conn.Close()
	}
}

type tracked struct {
	net.Conn
	gate gate
}

// Close forgets the connection.
func (t tracked) Close() error {
	t.gate.c.mu.Lock()
	delete(t.gate.n.conns, t.Conn)
	t.gate.c.mu.Unlock()
	return t.Conn.Close()
}

// cut closes every connection of the node.
func (n *node) cut() {
	for conn := range n.conns {
		_ = conn.Close()
	}
	clear(n.conns)
}
