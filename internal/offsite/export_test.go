package offsite

// Small makes files of so many bytes large ones, uploaded in parts of a size, so
// that tests need no gigabytes.
func (v *Vault) Small(multipartFrom, part int64) *Vault {
	v.multipartFrom, v.partSize = multipartFrom, func(int64) int64 { return part }
	return v
}
