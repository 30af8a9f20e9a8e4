package workflows

import (
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
)

// Search attributes, for questions such as TriplicateOutcome = "failed".
var (
	AttrHost    = temporal.NewSearchAttributeKeyKeyword("TriplicateHost")
	AttrNight   = temporal.NewSearchAttributeKeyKeyword("TriplicateNight")
	AttrStage   = temporal.NewSearchAttributeKeyKeyword("TriplicateStage")
	AttrOutcome = temporal.NewSearchAttributeKeyKeyword("TriplicateOutcome")
	AttrReplica = temporal.NewSearchAttributeKeyKeyword("TriplicateReplica")
	AttrGuest   = temporal.NewSearchAttributeKeyKeyword("TriplicateGuest")
	AttrTarget  = temporal.NewSearchAttributeKeyKeyword("TriplicateTarget")
	AttrBytes   = temporal.NewSearchAttributeKeyInt64("TriplicateBytes")
)

// attrScheduled is set by Temporal on what a schedule starts.
var attrScheduled = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// SearchAttributes lists ours by name, for whoever registers them.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		AttrHost.GetName():    AttrHost.GetValueType(),
		AttrNight.GetName():   AttrNight.GetValueType(),
		AttrStage.GetName():   AttrStage.GetValueType(),
		AttrOutcome.GetName(): AttrOutcome.GetValueType(),
		AttrReplica.GetName(): AttrReplica.GetValueType(),
		AttrGuest.GetName():   AttrGuest.GetValueType(),
		AttrTarget.GetName():  AttrTarget.GetValueType(),
		AttrBytes.GetName():   AttrBytes.GetValueType(),
	}
}
