package pbstest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// digest is a chunk's name: the SHA-256 of its content.
type digest [sha256.Size]byte

type chunk struct {
	size  int64
	atime time.Time
}

// A guest's disk is so many blocks, and so many of them change between two backups.
const (
	diskBlocks   = 12
	diskChanging = 3
)

// upload brings the blocks of a group's disk into the chunk store, with those
// changed that change from backup to backup; only new ones take space.
func (d *datastore) upload(s *snapshot, at time.Time) error {
	key := s.ns + ":" + s.Group
	versions := d.disks[key]
	if versions == nil {
		versions = make([]int, diskBlocks+1) // the last counts the backups
		d.disks[key] = versions
	} else {
		first := versions[diskBlocks] * diskChanging
		for i := range diskChanging {
			versions[1+(first+i)%(diskBlocks-1)]++
		}
	}
	versions[diskBlocks]++
	for i := range diskBlocks {
		content := block(key, i, versions[i])
		id := digest(sha256.Sum256(content))
		s.chunks = append(s.chunks, id)
		if c := d.chunks[id]; c != nil {
			c.atime = at
			continue
		}
		if err := d.writeChunk(id, content); err != nil {
			return err
		}
		d.chunks[id] = &chunk{size: int64(len(content)), atime: at}
	}
	return nil
}

// block is the content of one block of a disk, a few KiB, the same for the same
// arguments. Block 0 is the same for all guests: their operating system.
func block(key string, i, version int) []byte {
	if i == 0 {
		key = "base"
	}
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", key, i, version))
	content := make([]byte, 2048+binary.BigEndian.Uint16(seed[:])%4096)
	_, _ = rand.NewChaCha8(seed).Read(content) // it never fails
	return content
}

// sizeOf is the size of a backup: of all it refers to.
func (d *datastore) sizeOf(s *snapshot) int64 {
	var n int64
	for _, id := range s.chunks {
		if c := d.chunks[id]; c != nil {
			n += c.size
		}
	}
	return n
}

// used is what the chunks take on the disk.
func (d *datastore) used() int64 {
	var n int64
	for _, c := range d.chunks {
		n += c.size
	}
	return n
}

// available is the space that is left.
func (d *datastore) available() int64 {
	if d.full {
		return 0
	}
	return max(d.Size-d.used(), 0)
}

func (d *datastore) noSpace() bool { return d.available() == 0 }
