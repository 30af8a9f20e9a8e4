package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"triplicate/internal/backup"
)

func TestSecretRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) SecretRef {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // WriteFile's mode is cut by the umask
			t.Fatal(err)
		}
		return SecretRef{File: path}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	write("cred", "hunter2", 0o440) // as systemd leaves it for a service with a user of its own
	write("opencred", "hunter2", 0o444)
	t.Setenv("CREDENTIALS_DIRECTORY", dir)

	tests := map[string]struct {
		ref  SecretRef
		want string
		err  string
	}{
		"a private file":               {ref: write("a", "hunter2", 0o400), want: "hunter2"},
		"one newline goes":             {ref: write("b", "hunter2\n", 0o600), want: "hunter2"},
		"only one newline goes":        {ref: write("c", " hunter2\n\n", 0o600), want: " hunter2\n"},
		"windows line end":             {ref: write("d", "hunter2\r\n", 0o600), want: "hunter2"},
		"group can read":               {ref: write("e", "hunter2", 0o640), err: "chmod 0400"},
		"others can read":              {ref: write("f", "hunter2", 0o604), err: "chmod 0400"},
		"group can write":              {ref: write("g", "hunter2", 0o620), err: "chmod 0400"},
		"empty":                        {ref: write("h", "", 0o600), err: "is empty"},
		"a newline only":               {ref: write("i", "\n", 0o600), err: "is empty"},
		"binary":                       {ref: write("j", "hunter2\x00", 0o600), err: "not text"},
		"too large":                    {ref: write("k", strings.Repeat("hunter2", 10000), 0o600), err: "larger than"},
		"missing":                      {ref: SecretRef{File: filepath.Join(dir, "none")}, err: "no such file"},
		"a directory":                  {ref: SecretRef{File: dir}, err: "not a regular file"},
		"a fifo without a writer":      {ref: SecretRef{File: fifo}, err: "not a regular file"},
		"a credential":                 {ref: SecretRef{Credential: "cred"}, want: "hunter2"},
		"a credential open to all":     {ref: SecretRef{Credential: "opencred"}, err: "mode 0444"},
		"a reference without anything": {err: "neither file nor credential"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.ref.Read()
			switch {
			case tt.err == "" && (err != nil || got.Reveal() != tt.want):
				t.Errorf("got %q, %v; want %q", got.Reveal(), err, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got error %v, want %q", err, tt.err)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestCredentialWithoutSystemd(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err := SecretRef{Credential: "aws"}.Read()
	if !errors.Is(err, backup.ErrElsewhere) || !strings.Contains(err.Error(), "LoadCredential=aws:/path") {
		t.Errorf("got %v", err)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := Secret{"hunter2"}
	j, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s) + fmt.Sprint(&s, []Secret{s}, struct{ S Secret }{s}) + string(j)
	if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("printed: %s", out)
	}
	if strings.Count(out, "[secret]") != 12 {
		t.Errorf("got %s", out)
	}
}

// Whatever is wrong around it, a secret that somebody wrote into the file is in
// no error: not in the excerpt, not in the message.
func TestInlineSecretIsNeverPrinted(t *testing.T) {
	const head = base + "offsite:\n  - name: aws\n    pool: hdd\n"
	tests := map[string]string{
		"text":                   head + "    credentials: hunter2\n",
		"quoted":                 head + "    credentials: \"hunter2\"\n",
		"number":                 strings.ReplaceAll(head+"    credentials: hunter2\n", "hunter2", "7042211"),
		"block":                  head + "    credentials: |\n      hunter2\n      hunter2\n    reggion: x\n",
		"folded":                 head + "    credentials: >-\n      hunter2\n\n      hunter2\n",
		"plain of several lines": head + "    credentials: abc\n      hunter2\n",
		"list":                   head + "    credentials: [ hunter2, hunter2 ]\n",
		"mapping":                head + "    credentials: { id: hunter2, key: hunter2 }\n",
		"block mapping":          head + "    credentials:\n      id: hunter2\n      secret: hunter2\n",
		"nested":                 head + "    credentials:\n      file:\n        a: [ hunter2 ]\n",
		"in file":                head + "    credentials: { file: hunter2 }\n",
		"in credential":          head + "    credentials: { credential: hunter2/x }\n",
		"tagged":                 head + "    credentials: !!str hunter2\n",
		"anchored":               head + "    credentials: &a hunter2\n",
		"unknown key for it":     head + "    secret_key: hunter2\n",
		"unknown section for it": head + "    passwort: { password: hunter2 }\n",
		"behind an unknown key":  head + "  - { nam: x, credentials: hunter2 }\n",
		"does not parse":         head + "    credentials: hunter2: x\n",
		"tab before":             head + "    credentials:\thunter2\n",
		"control character":      head + "    credentials: hunter2\x01\n",
		"quote left open":        head + "    credentials: \"hunter2\n",
		"in a broken address":    base + "proxmox:\n  pbs: { url: \"https://root:hunter2@pbs:80x\" }\n",
		"in temporal's address":  base + "temporal: { address: \"root:hunter2@temporal:7233\" }\n",
		"in a user part":         base + "proxmox:\n  frequency: daily at 02:00\n  keep: { daily: 1 }\n  pbs: { url: \"https://root:hunter2@pbs:8007\" }\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(strings.NewReader(text), "triplicate.yaml")
			if err == nil {
				t.Fatal("it loaded")
			}
			j, _ := json.Marshal(err)
			for _, out := range []string{err.Error(), string(j)} {
				if strings.Contains(out, "hunter2") || strings.Contains(out, "7042211") {
					t.Errorf("printed:\n%s", out)
				}
			}
		})
	}
}
