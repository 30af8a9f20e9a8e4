package workflows

import (
	"fmt"
	"strings"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// Report is what a run did. It is the result of a run that did not fail, and the
// details of the failure of one that did.
type Report struct {
	Host     string         `json:"host"`
	Workflow string         `json:"workflow"`
	Run      string         `json:"run"`
	Night    string         `json:"night,omitempty"`
	Started  time.Time      `json:"started"`
	Ended    time.Time      `json:"ended,omitzero"`
	Outcome  backup.Outcome `json:"outcome,omitempty"`
	Stages   []StageReport  `json:"stages"`
	Notes    []string       `json:"notes,omitempty"`
}

// StageReport is one stage's part of a report.
type StageReport struct {
	Stage   string            `json:"stage"`
	Outcome backup.Outcome    `json:"outcome,omitempty"` // empty: not there yet
	Started time.Time         `json:"started,omitzero"`
	Ended   time.Time         `json:"ended,omitzero"`
	Summary string            `json:"summary,omitempty"`
	Bytes   int64             `json:"bytes,omitempty"`
	Items   []activities.Item `json:"items,omitempty"`
	// More is how many items are left out of Items, and the worst of them.
	More      int            `json:"more,omitempty"`
	MoreWorst backup.Outcome `json:"moreWorst,omitempty"`
}

// maxItems bounds a stage's list: a report is read by people, and that of a night
// in which all 500 datasets and 200 guests fail stays below 256 KiB.
const maxItems = 90

// maxDetail bounds one item's text, in bytes, so that a full list of them stays
// small.
const maxDetail = 300

// add appends items, cutting what is too long. Where there are too many, the
// good ones are left out first, and what is left out still counts.
func (s *StageReport) add(items ...activities.Item) {
	for _, it := range items {
		if len(it.Detail) > maxDetail {
			it.Detail = it.Detail[:maxDetail-4] + " ..."
		}
		if len(s.Items) < maxItems {
			s.Items = append(s.Items, it)
			continue
		}
		if s.More++; s.More == 1 {
			s.MoreWorst = backup.OK
		}
		mildest := 0
		for i, x := range s.Items {
			if backup.Worst(x.Outcome, s.Items[mildest].Outcome) != x.Outcome {
				mildest = i
			}
		}
		if x := s.Items[mildest]; x.Outcome != it.Outcome && backup.Worst(x.Outcome, it.Outcome) == it.Outcome {
			s.Items[mildest], it = it, x
		}
		s.MoreWorst = backup.Worst(s.MoreWorst, it.Outcome)
	}
}

// settle gives a stage its outcome: the worst of its items, ok without any.
func (s *StageReport) settle() {
	if s.Outcome == "" {
		s.Outcome = backup.OK
	}
	if s.More > 0 {
		s.Outcome = backup.Worst(s.Outcome, s.MoreWorst)
	}
	for _, it := range s.Items {
		s.Outcome = backup.Worst(s.Outcome, it.Outcome)
	}
}

// settle gives the report the worst outcome of its stages.
func (r *Report) settle() {
	r.Outcome = backup.OK
	for i := range r.Stages {
		s := &r.Stages[i]
		if s.Outcome != "" && len(s.Items)+s.More > 0 {
			s.settle() // with what came in after its latest end
		}
		r.Outcome = backup.Worst(r.Outcome, s.Outcome)
	}
}

// Markdown is the report as the Web UI shows it under current details.
func (r Report) Markdown() string {
	var b strings.Builder
	title := r.Workflow
	if r.Night != "" {
		title = "night of " + r.Night
	}
	fmt.Fprintf(&b, "### %s: %s (%s)\n\n", r.Host, title, r.Run)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "> %s\n\n", n)
	}
	for _, s := range r.Stages {
		switch {
		case s.Outcome != "":
			fmt.Fprintf(&b, "- **%s**: %s", s.Stage, s.Outcome)
		case !s.Started.IsZero():
			fmt.Fprintf(&b, "- **%s**: running since %s", s.Stage, s.Started.UTC().Format("15:04:05 UTC"))
		default:
			fmt.Fprintf(&b, "- %s: waiting", s.Stage)
		}
		if s.Summary != "" {
			fmt.Fprintf(&b, ", %s", s.Summary)
		}
		b.WriteString("\n")
		for i, it := range s.Items {
			if it.Outcome == backup.OK || i >= 20 {
				continue
			}
			fmt.Fprintf(&b, "  - %s `%s`: %s\n", it.Outcome, it.Name, it.Detail)
		}
	}
	return b.String()
}

// Diagnosis is one line on what went wrong and one on what to do, for the failure
// that the Web UI shows in red.
func (r Report) Diagnosis() string {
	var bad []string
	var first string
	for _, s := range r.Stages {
		for _, it := range s.Items {
			if it.Outcome != backup.Failed {
				continue
			}
			name := s.Stage
			if it.Name != s.Stage {
				name += " " + it.Name
			}
			bad = append(bad, name)
			if first == "" {
				first = it.Detail
			}
		}
	}
	head := strings.Join(bad[:min(len(bad), 5)], ", ")
	if len(bad) > 5 {
		head += fmt.Sprintf(" and %d more", len(bad)-5)
	}
	return fmt.Sprintf("failed: %s: %s\nrun `triplicate check` for what to do about it, `triplicate status` for what is safe now; the other parts of the run went on", head, first)
}
