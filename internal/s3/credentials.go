package s3

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"triplicate/internal/backup"
)

// ParseCredentials reads the profile [default] of a file in the form of
// ~/.aws/credentials. Its errors name lines and settings, never what they hold.
func ParseCredentials(text string) (keyID, secret, session string, err error) {
	found := map[string]string{}
	profile, n := "", 0
	lines := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if strings.HasPrefix(line, "[") {
			profile = strings.TrimSpace(strings.Trim(line, "[]"))
			continue
		}
		if profile == "" {
			return "", "", "", fmt.Errorf("credentials: line %d comes before [default]", n)
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok && profile == "default" {
			return "", "", "", fmt.Errorf("credentials: line %d is no setting: want name = value", n)
		}
		if profile == "default" {
			found[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return "", "", "", fmt.Errorf("credentials: line %d: %w", n+1, err)
	}
	for _, name := range []string{"aws_access_key_id", "aws_secret_access_key"} {
		if found[name] == "" {
			return "", "", "", fmt.Errorf("credentials: profile [default] has no %s", name)
		}
	}
	for name, value := range found {
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", "", "", fmt.Errorf("credentials: %s has a character that no key has", name)
		}
	}
	return found["aws_access_key_id"], found["aws_secret_access_key"], found["aws_session_token"], nil
}

// keyAge is how long credentials are taken to be what they were: a rotated key is
// noticed within a minute, and reading a file costs as much as a small upload.
const keyAge = time.Minute

// keys reads the access key and remembers it for a while.
type keys struct {
	read func() (keyID, secret, session string, err error)
	now  func() time.Time

	mu    sync.Mutex
	creds aws.Credentials
	at    time.Time
	seen  []string // every secret that was ever read, each with what to say instead
}

func (k *keys) get() (aws.Credentials, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := k.now().Sub(k.at); k.creds.AccessKeyID != "" && age >= 0 && age < keyAge {
		return k.creds, nil
	}
	return k.creds, k.refresh()
}

// renew reads the key anew and says whether it is another one.
func (k *keys) renew() (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.creds
	err = k.refresh()
	return k.creds != before, err
}

func (k *keys) refresh() error {
	id, secret, session, err := k.read()
	if err == nil && (id == "" || secret == "") {
		err = errors.New("the access key or its secret is empty")
	}
	if err != nil {
		k.creds = aws.Credentials{}
		return fmt.Errorf("read credentials: %w: %w", err, backup.ErrCredentials)
	}
	k.creds = aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}
	k.at = k.now()
	for _, s := range []string{secret, session, id} {
		if s != "" && !slices.Contains(k.seen, s) {
			k.seen = append(k.seen[:len(k.seen):len(k.seen)], s, "(secret)")
		}
	}
	return nil
}

// scrub takes everything secret out of what a server said: Amazon repeats the key
// ID and what it signed, others may repeat more.
func (k *keys) scrub(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.NewReplacer(k.seen...).Replace(text)
}
