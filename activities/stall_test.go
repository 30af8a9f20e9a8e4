package activities

import (
	"testing"
	"time"
)

// TestPace: a slow stream goes on for ever, a silent one does not.
func TestPace(t *testing.T) {
	for name, tt := range map[string]struct {
		moved func(minute int64) int64 // bytes so far
		want  int64                    // minute at which it is given up; 0: never
	}{
		"nothing ever moves":            {func(int64) int64 { return 0 }, 15},
		"a byte every fourteen minutes": {func(m int64) int64 { return m / 14 }, 0},
		"it stops after an hour":        {func(m int64) int64 { return min(m, 60) }, 75},
		"it begins anew":                {func(m int64) int64 { return m % 7 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 11, 25, 2, 30, 0, 0, time.UTC)
			p := pace{limit: DefaultStall, since: start}
			var got int64
			for m := int64(1); m < 300 && got == 0; m++ {
				if p.stalled(tt.moved(m), start.Add(time.Duration(m)*time.Minute)) {
					got = m
				}
			}
			if got != tt.want {
				t.Errorf("given up at minute %d, want %d", got, tt.want)
			}
		})
	}
}
