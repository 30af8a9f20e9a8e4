package backup

import "testing"

func TestWorst(t *testing.T) {
	order := []Outcome{NotConfigured, OK, Skipped, NotCovered, Warning, NeedsApproval, Failed}
	for i, a := range order {
		for j, b := range order {
			if got, want := Worst(a, b), order[max(i, j)]; got != want {
				t.Errorf("Worst(%q, %q) = %q, want %q", a, b, got, want)
			}
		}
	}
	if got := Worst(NeedsApproval, "okay"); got != "okay" {
		t.Errorf("an unknown outcome ranks below %q: got %q", NeedsApproval, got)
	}
}
