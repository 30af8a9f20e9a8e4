package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must resolve on a minimal system too

	"triplicate/internal/backup"
)

// kind is a form that text must have: a pattern, or a function where a pattern
// cannot say what is wrong.
type kind struct {
	what    string // "a host name", for messages and docs
	pattern *regexp.Regexp
	fix     string
	test    func(string) *fault
}

// check is nil if text has the form.
func (k kind) check(text string) *fault {
	if k.test != nil {
		return k.test(text)
	}
	if k.pattern == nil || k.pattern.MatchString(text) {
		return nil
	}
	f := &fault{message: fmt.Sprintf("%q is not %s", shorten(text), k.what), fix: k.fix}
	lower := strings.ToLower(text)
	label, _, _ := strings.Cut(lower, ".")
	for _, near := range []string{lower, label, strings.Trim(notInName.ReplaceAllString(lower, "-"), "-")} {
		if f.mean == "" && near != text && k.pattern.MatchString(near) {
			f.mean = near
		}
	}
	return f
}

// kinds are the forms that is tags name.
var kinds = map[string]kind{
	"host": {what: "a host name", pattern: regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`),
		fix: "Use a to z, 0 to 9 and -, not at the ends: it goes into workflow IDs."},
	"name": {what: "a name", pattern: regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`),
		fix: "Use a to z, 0 to 9 and -, not at the ends, at most 48: it goes into workflow IDs, bookmarks and holds."},
	"prefix": {what: "a snapshot prefix", pattern: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,30}[A-Za-z0-9]$|^[A-Za-z]$`),
		fix: "Begin with a letter and use letters, digits, _ . and -, at most 32: it goes into snapshot names."},
	"timezone": {what: "an IANA time zone", test: checkZone},
	"path":     {what: "an absolute path", test: checkPath},
	"dataset":  {what: "a dataset", test: checkDataset},
	"pool":     {what: "a pool", test: checkPool},
	"url":      {what: "an https address", test: checkURL},
	"fingerprint": {what: "a SHA-256 fingerprint", pattern: regexp.MustCompile(`^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$`),
		fix: "Write 32 pairs of hexadecimal digits with colons, as `pvenode cert info` and `proxmox-backup-manager cert info` print them."},
	"id": {what: "a Proxmox or Temporal name", pattern: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`),
		fix: "Begin with a letter or digit and use letters, digits, _ . and -."},
	"namespace": {what: "a namespace", pattern: regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,6}$`),
		fix: "Write it as PBS shows it, such as smith/vms."},
	"bucket": {what: "a bucket name", pattern: regexp.MustCompile(`^[a-z0-9]([a-z0-9-]|\.[a-z0-9]){1,61}[a-z0-9]$`),
		fix: "A bucket name has 3 to 63 of a to z, 0 to 9, - and single dots."},
	"region": {what: "a region", pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}$`),
		fix: "Write the region's code, such as eu-central-1."},
	"key prefix":    {what: "a key prefix", test: checkKeyPrefix},
	"storage class": {what: "a storage class", test: checkStorageClass},
	"address":       {what: "host:port, or empty", test: checkAddress},
	"ip":            {what: "an IP address", test: checkIP},
}

// ourZones are offered when a zone is misspelt. Only offered: any zone is valid.
var ourZones = []string{
	"UTC", "Europe/Vienna", "Europe/Berlin", "Europe/Zurich", "Europe/London", "Europe/Paris", "Europe/Madrid",
	"Europe/Rome", "Europe/Amsterdam", "Europe/Brussels", "Europe/Prague", "Europe/Warsaw", "Europe/Budapest",
	"Europe/Stockholm", "Europe/Oslo", "Europe/Copenhagen", "Europe/Helsinki", "Europe/Athens", "Europe/Dublin",
	"Europe/Lisbon", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
	"America/Toronto", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Kolkata", "Asia/Singapore", "Asia/Shanghai",
	"Australia/Sydney", "Australia/Melbourne", "Australia/Lord_Howe", "Pacific/Auckland", "Africa/Johannesburg",
}

func checkZone(text string) *fault {
	// "Local" means another zone on every machine; "" would be UTC.
	if text != "" && text != "Local" {
		if _, err := time.LoadLocation(text); err == nil {
			return nil
		}
	}
	mean := nearest(text, ourZones)
	for _, zone := range ourZones {
		if _, city, ok := strings.Cut(zone, "/"); ok && fold(city) == fold(text) {
			mean = zone
		}
	}
	return &fault{message: fmt.Sprintf("%q is not an IANA time zone", shorten(text)), mean: mean,
		fix: "Write it as `timedatectl list-timezones` does, such as Europe/Vienna or UTC."}
}

func checkPath(text string) *fault {
	if filepath.IsAbs(text) && filepath.Clean(text) == text && text != "/" {
		return nil
	}
	f := &fault{message: fmt.Sprintf("%q is not a clean absolute path", shorten(text)),
		fix: "Begin with /, and leave out . and .. and a slash at the end."}
	if filepath.IsAbs(text) && filepath.Clean(text) != "/" {
		f.mean = filepath.Clean(text)
	}
	return f
}

func checkURL(text string) *fault {
	if strings.Contains(text, "@") {
		return userInAddress()
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return &fault{message: fmt.Sprintf("%q is not an https address", shorten(text)), fix: "Write https://host:port."}
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return &fault{message: "this is more than a server's address", mean: u.Scheme + "://" + u.Host,
			fix: "Leave out what follows the port."}
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return &fault{message: fmt.Sprintf("%q would send secrets in the clear", shorten(text)), mean: "https://" + u.Host,
			fix: "Use https; http is for a server on this machine only."}
	}
	return nil
}

// userInAddress does not quote the address: it may hold a password.
func userInAddress() *fault {
	return &fault{message: "the address holds a user or password", fix: "Leave it out: secrets are read from files.", secret: true}
}

func checkKeyPrefix(text string) *fault {
	plain := keyPrefix.MatchString
	if plain(text) {
		return nil
	}
	f := &fault{message: fmt.Sprintf("%q is not a key prefix", shorten(text)),
		fix: "Write names with slashes between them, without one in front, such as smith/hdd."}
	if trimmed := strings.Trim(text, "/ "); plain(trimmed) {
		f.mean = trimmed
	}
	return f
}

// keyPrefix has no empty part and none that begins with a dot: tools that copy
// the bucket to a disk would walk out of it.
var keyPrefix = regexp.MustCompile(`^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}){0,9}/?)$`)

var storageClasses = []string{"GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"}

func checkStorageClass(text string) *fault {
	for _, c := range storageClasses {
		if text == c {
			return nil
		}
	}
	return &fault{message: fmt.Sprintf("%q is not a storage class", shorten(text)), mean: nearest(text, storageClasses),
		fix: "Write one of " + strings.Join(storageClasses, ", ") + "; GLACIER is Glacier Flexible Retrieval."}
}

func checkAddress(text string) *fault {
	if text == "" {
		return nil
	}
	if strings.Contains(text, "@") {
		return userInAddress()
	}
	host, port, err := net.SplitHostPort(text)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err == nil && perr == nil && n > 0 && host != "" && !strings.ContainsAny(host, "/ ") {
		return nil
	}
	f := &fault{message: fmt.Sprintf("%q is not host:port", shorten(text)),
		fix: "Write the server's host:port, or nothing in quotes to run one inside the daemon."}
	if u, err := url.Parse(text); err == nil && u.Port() != "" && u.Hostname() != "" {
		f.mean = u.Host
	} else if !strings.ContainsAny(text, ":/ ") {
		f.mean = text + ":7233"
	}
	return f
}

func checkIP(text string) *fault {
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	f := &fault{message: fmt.Sprintf("%q is not an IP address", shorten(text)), fix: "Write 127.0.0.1 unless you know better."}
	if text == "localhost" {
		f.mean = "127.0.0.1"
	}
	return f
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// snapshotRoom is what @, the longest prefix and a stamp take of the 255 bytes
// that ZFS allows for dataset@snapshot.
const snapshotRoom = 1 + 32 + 1 + len("20261122T013000Z")

var poolReserved = regexp.MustCompile(`^(mirror|raidz|draid|spare|log$|c[0-9])`)

// checkDataset is zfs(8)'s naming, less what must never reach a command line.
func checkDataset(text string) *fault {
	pool, _, _ := strings.Cut(text, "/")
	f := &fault{message: fmt.Sprintf("%q is not a dataset", shorten(text)), fix: "Write it as `zfs list -H -o name` does, such as nvme/personal."}
	if i := strings.IndexAny(text, "@#"); i > 0 {
		f.message = fmt.Sprintf("%q is a snapshot or bookmark, not a dataset", shorten(text))
		if checkDataset(text[:i]) == nil {
			f.mean = text[:i]
		}
		return f
	}
	if trimmed := strings.Trim(text, "/ "); trimmed != text {
		if checkDataset(trimmed) == nil {
			f.mean = trimmed
		}
		return f
	}
	if bad := checkPool(pool); bad != nil {
		f.fix = bad.fix
		return f
	}
	if len(text)+snapshotRoom > 255 {
		f.message = "the dataset's name is too long for snapshots of it"
		f.fix = fmt.Sprintf("At most %d bytes leave room for the snapshot's name.", 255-snapshotRoom)
		return f
	}
	for _, part := range strings.Split(text, "/")[1:] {
		if !component.MatchString(part) {
			f.fix = "Between slashes, use letters, digits, _ . : - and inner spaces; begin with a letter, a digit or _."
			return f
		}
	}
	return nil
}

// component leaves out a leading '-' (an option to a command) and '.' (. and ..).
var (
	component = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?$`)
	poolName  = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?$`)
)

func checkPool(text string) *fault {
	f := &fault{message: fmt.Sprintf("%q is not a pool", shorten(text)),
		fix: "A pool's name begins with a letter, has letters, digits, _ . : and -, and is no word of zpool(8) such as mirror or log."}
	if pool := backup.PoolOf(text); pool != text && checkPool(pool) == nil {
		f.mean = pool
	}
	if !poolName.MatchString(text) || poolReserved.MatchString(text) {
		return f
	}
	return nil
}
