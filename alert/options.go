package alert

import (
	"fmt"
	"slices"
	"time"
)

// GroupOptions is one [[alert_group]] of the configuration: people who are told by the same methods.
type GroupOptions struct {
	// Name of the group, by which instances refer to it.
	Name string `toml:"name" required:"true"`
	// Kinds of events that the group is told of. Empty: all. Of what begins and ends, the name of the beginning is enough.
	Events []Kind `toml:"events" single:"true"`
	// Tell also the end of what was told. false: only the ends that events names, such as address_up.
	Resolved bool `toml:"resolved" default:"true"`
	// Whether instances that choose no group (with alert_groups or [[instance.alert]]) are told to this one.
	Default bool `toml:"default" default:"true"`
	// Whether the group is told of what concerns no instance: prober_blind, config_rejected, geo_database_stale.
	General bool `toml:"general" default:"true"`
	// What is over before it has lasted this long is not told at all.
	Delay time.Duration `toml:"delay" default:"0s" range:"0s..24h"`
	// How long events are gathered, from the first of a cause, before the message about them is made.
	GroupWait time.Duration `toml:"group_wait" default:"2s" range:"0s..10m"`
	// The least time between two messages about one cause, and between two about a storm. It doubles with each message, up to an hour, until all was quiet for ten times as long: flapping is told ever more seldom. 0s: none.
	Hold time.Duration `toml:"hold" default:"30s" range:"0s..1h"`
	// Remind of what is not over this long after it was told. 0s: never, by alertmanager every minute.
	Repeat time.Duration `toml:"repeat" default:"0s" range:"0s..8760h"`
	// When nobody is to be disturbed, such as "23:00-07:00" or "Sat,Sun 00:00-24:00". What happens meanwhile is told at the end of it, in few messages.
	Quiet []Quiet `toml:"quiet" single:"true"`
	// The time zone of quiet and of the times in messages, such as "Asia/Shanghai". "Local": that of this machine.
	TimeZone Zone `toml:"time_zone" default:"Local"`
	// Kinds of events that are told in quiet times too, and that hold does not hold up.
	Urgent []Kind `toml:"urgent" default:"fail_open,prober_blind" single:"true"`
	// How long a message that cannot be delivered is tried again. After that it is given up; what is not over by then is told anew.
	Keep time.Duration `toml:"keep" default:"24h" range:"1m..8760h"`
	// The ways by which the group is told.
	Methods []MethodOptions `toml:"method" required:"true"`
}

// Validate reports what the keys of a group do not have to do with each other.
func (o *GroupOptions) Validate(problem func(key, message string)) {
	lonelyEnds(o.Events, problem)
	if o.Repeat > 0 && o.Repeat < time.Minute {
		problem("repeat", fmt.Sprintf("%s is out of range: want 0s for never, or at least 1m", o.Repeat))
	}
}

// LonelyEnd says what is wrong with a kind in a list of kinds: it is an end, and its beginning is not in the list. "" is nothing.
func LonelyEnd(list []Kind, k Kind) string {
	begin := k.Begin()
	if begin == k || slices.Contains(list, begin) {
		return ""
	}
	return fmt.Sprintf("%q is the end of %q, and is told to those who were told of that: add %q", k, begin, begin)
}

// lonelyEnds reports ends in a list of kinds whose beginnings are not in it.
func lonelyEnds(list []Kind, problem func(key, message string)) {
	for i, k := range list {
		if complaint := LonelyEnd(list, k); complaint != "" {
			problem(fmt.Sprintf("events[%d]", i), complaint)
		}
	}
}

// Choice is what an instance wants told to one group.
type Choice struct {
	Group string
	// Events are those of the group's that are told; empty: all of them.
	Events []Kind
	// Methods are those by which they are told, by name; empty: all of the group's.
	Methods []string
	// Resolved: the end too.
	Resolved bool
}
