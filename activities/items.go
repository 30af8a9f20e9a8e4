package activities

import (
	"fmt"
	"slices"

	"triplicate/internal/backup"
)

// maxListed bounds a result's items. With their texts bounded too, a list stays
// below 256 KiB, well under Temporal's 2 MB for one payload.
const maxListed = 200

// AtMost bounds a list of items: their texts, and, where there are too many, to
// the worst of them and how many more there were.
func AtMost(items []Item) []Item {
	for i := range items {
		items[i].Detail = short(items[i].Detail)
	}
	if len(items) <= maxListed {
		return items
	}
	slices.SortStableFunc(items, byWorst)
	more := Item{
		Name: fmt.Sprintf("and %d more", len(items)-maxListed), Outcome: items[maxListed].Outcome,
		Detail: "the list is cut here; it has the worst first",
	}
	return append(items[:maxListed:maxListed], more)
}

// byWorst orders the worst first.
func byWorst(a, b Item) int {
	switch {
	case backup.Worst(a.Outcome, b.Outcome) != a.Outcome:
		return 1
	case backup.Worst(b.Outcome, a.Outcome) != b.Outcome:
		return -1
	}
	return 0
}
