package backup

import "fmt"

// Outcome is what became of a part of a run.
type Outcome string

// The outcomes, from good to bad.
const (
	NotConfigured Outcome = "not configured" // nothing was asked for
	OK            Outcome = "ok"
	Skipped       Outcome = "skipped"        // deliberately not done; the reason is said
	NotCovered    Outcome = "not covered"    // cannot be copied this way
	Warning       Outcome = "warning"        // done, but somebody should look
	NeedsApproval Outcome = "needs approval" // waits for the operator
	Failed        Outcome = "failed"
)

// severity orders outcomes; an unknown one is as bad as a failure, because a
// status that nobody understands must not look green.
func (o Outcome) severity() int {
	for i, known := range []Outcome{NotConfigured, OK, Skipped, NotCovered, Warning, NeedsApproval} {
		if o == known {
			return i
		}
	}
	return 6
}

// Worst is the worse of two outcomes.
func Worst(a, b Outcome) Outcome {
	if b.severity() > a.severity() {
		return b
	}
	return a
}

// Bytes writes a number of bytes for people: 1.5 GiB.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}
