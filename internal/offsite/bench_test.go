package offsite_test

import (
	"fmt"
	"os"
	"testing"

	"triplicate/internal/backup"
)

// BenchmarkSurvey walks and compares 50,000 unchanged files. What counts is that
// the bytes per operation do not grow with the files that are in memory at once: a
// directory's.
func BenchmarkSurvey(b *testing.B) {
	s, _ := crowdOf(b, 50_000)
	check(b, s.attempt(s.bucket, s.snapshot()))
	for b.Loop() {
		job := s.snapshot() // another point, or the notes would answer
		found, err := s.vault(s.bucket).Survey(b.Context(), job)
		if err != nil || !found.Change.Empty() {
			b.Fatal(found.Change, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50_000, "ns/file")
}

// BenchmarkCommit uploads 5,000 empty files into memory: the cost of the lists and
// the journal.
func BenchmarkCommit(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s, job := crowdOf(b, 5_000)
		b.StartTimer()
		if err := s.attempt(s.bucket, job); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5_000, "ns/file")
}

func crowdOf(b *testing.B, files int) (*scene, backup.OffsiteJob) {
	b.Helper()
	s := newScene(b, newBucket())
	for i := range files {
		dir := fmt.Sprintf("%s/dir %03d", s.dir, i/200)
		if i%200 == 0 {
			check(b, os.Mkdir(dir, 0o755))
		}
		check(b, os.WriteFile(fmt.Sprintf("%s/a file called %05d.jpeg", dir, i), nil, 0o644))
	}
	return s, s.snapshot()
}
