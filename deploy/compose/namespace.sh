#!/bin/sh
# Runs in temporalio/admin-tools, whose sh is busybox's: makes the namespace and the
# search attributes that triplicated would make itself if it may. What is there stays
# as it is; in particular a retention of the operator's is not shortened.
set -eu

# A server that has just started, and a namespace that was just made, take a while
# until all of its parts know.
eventually() { # what, command...
	what=$1 n=0
	shift
	until out=$("$@" 2>&1); do
		n=$((n + 1))
		if [ $n -ge 30 ]; then
			echo "given up until $what: $out" >&2
			return 1
		fi
		sleep 2
	done
	echo "$what"
}

namespace() {
	temporal operator namespace describe --namespace "$NAMESPACE" ||
		temporal operator namespace create --namespace "$NAMESPACE" --retention "$RETENTION" --description "Triplicate backups"
}

attributes() {
	have=$(temporal operator search-attribute list --namespace "$NAMESPACE") || { echo "$have"; return 1; }
	set --
	while read -r name type; do
		case $have in *"$name "*) ;; *) set -- "$@" --name "$name" --type "$type" ;; esac
	done <<-list
		TriplicateHost Keyword
		TriplicateNight Keyword
		TriplicateStage Keyword
		TriplicateOutcome Keyword
		TriplicateReplica Keyword
		TriplicateGuest Keyword
		TriplicateTarget Keyword
		TriplicateBytes Int
	list
	[ $# = 0 ] || temporal operator search-attribute create --namespace "$NAMESPACE" "$@"
}

eventually "the server serves" temporal operator cluster health
eventually "namespace $NAMESPACE is there" namespace
eventually "its search attributes are there" attributes
