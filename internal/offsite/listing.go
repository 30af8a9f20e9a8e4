package offsite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"triplicate/internal/backup"
)

// listing is what the bucket shows of a dataset's content: the latest version of
// each key. It is asked in backup.Order and read as a stream; only the few keys
// outside that order are in memory.
type listing struct {
	key   func(backup.Entry) string
	other map[string]backup.Object
	first string // what the keys of the stream begin with

	pull func() (backup.Object, error, bool)
	stop func()
	head *backup.Object
	last string
}

// errStop ends a listing that nobody reads any more.
var errStop = errors.New("stop")

// list begins to list the content of a dataset. The caller closes it.
func (v *Vault) list(ctx context.Context, dataset string) (*listing, error) {
	l := &listing{
		key:   func(e backup.Entry) string { return v.key(dataset, e) },
		other: map[string]backup.Object{},
		first: backup.DataPrefix(v.Prefix, dataset),
	}
	err := v.Bucket.Versions(ctx, backup.OtherPrefix(v.Prefix, dataset), func(o backup.Object) error {
		if o.Latest {
			l.other[o.Key] = o
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list objects of %s: %w", dataset, err)
	}
	l.pull, l.stop = iter.Pull2(func(yield func(backup.Object, error) bool) {
		err := v.Bucket.Versions(ctx, l.first, func(o backup.Object) error {
			if o.Latest && !yield(o, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(backup.Object{}, fmt.Errorf("list objects of %s: %w", dataset, err))
		}
	})
	return l, nil
}

func (l *listing) close() {
	if l != nil {
		l.stop()
	}
}

// at is the object at an entry's key, nil if there is none. Entries are asked for
// in their order.
func (l *listing) at(e backup.Entry) (*backup.Object, error) {
	key := l.key(e)
	if !strings.HasPrefix(key, l.first) {
		if o, ok := l.other[key]; ok {
			return &o, nil
		}
		return nil, nil
	}
	for l.head == nil || l.head.Key < key {
		o, err, ok := l.pull()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, nil
		}
		if o.Key <= l.last {
			return nil, fmt.Errorf("the bucket lists %q after %q: not in the order of its keys", o.Key, l.last)
		}
		l.head, l.last = &o, o.Key
	}
	if l.head.Key == key {
		return l.head, nil
	}
	return nil, nil
}

// unversioned is the version of every object of a bucket that keeps none, as a
// listing tells it; the answer to a PUT tells nothing.
const unversioned = "null"

// sameVersion says whether two version IDs are one.
func sameVersion(a, b string) bool { return cmp.Or(a, unversioned) == cmp.Or(b, unversioned) }
