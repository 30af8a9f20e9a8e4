package activities

import "context"

// heldBy filters names by tag. Facts says which are held at all; asking each for
// its holds is super-linear in OpenZFS (openzfs#13372).
func (a *Pools) heldBy(ctx context.Context, tag string, names []string) ([]string, error) {
	facts, err := a.ZFS.Facts(ctx, names...)
	if err != nil {
		return nil, err
	}
	var some []string
	for _, f := range facts {
		if f.UserRefs > 0 {
			some = append(some, f.String())
		}
	}
	holds, err := a.ZFS.Holds(ctx, some...)
	if err != nil {
		return nil, err
	}
	var held []string
	for _, h := range holds {
		if h.Tag == tag {
			held = append(held, h.Snapshot)
		}
	}
	return held, nil
}
