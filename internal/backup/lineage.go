package backup

// Lineage is what snapshots tell of datasets that some tool copies: a stream carries a
// snapshot's GUID along, and no two snapshots have the same one otherwise (zfsprops(7)).
type Lineage struct {
	// CopyOf names, by copy, the dataset that is copied: it has the copy's newest
	// snapshot, and newer ones.
	CopyOf map[string]string
	// Twin names, by dataset, another one with the same newest snapshot: one is the
	// other's copy, and which is not to be seen.
	Twin map[string]string
}

// LineageOf reads it from all snapshots of all pools. The order within a dataset is
// createtxg's.
func LineageOf(snapshots []Snapshot) Lineage {
	newest := map[string]Snapshot{}
	having := map[GUID][]string{}
	for _, s := range snapshots {
		having[s.GUID] = append(having[s.GUID], s.Dataset)
		if n, ok := newest[s.Dataset]; !ok || s.CreateTXG > n.CreateTXG {
			newest[s.Dataset] = s
		}
	}
	l := Lineage{CopyOf: map[string]string{}, Twin: map[string]string{}}
	for dataset, n := range newest {
		for _, other := range having[n.GUID] {
			switch {
			case other == dataset:
			case newest[other].GUID != n.GUID:
				l.CopyOf[dataset] = other
			default:
				l.Twin[dataset] = other
			}
		}
		if l.CopyOf[dataset] != "" {
			delete(l.Twin, dataset)
		}
	}
	return l
}
