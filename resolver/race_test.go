//go:build race

package resolver

func init() { underRace = true }
