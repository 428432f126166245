package node

import "github.com/prometheus/client_golang/prometheus"

// Gatherer gives the metrics of a node.
func (n *Node) Gatherer() prometheus.Gatherer { return n.registry }

// StateFile is the name of the saved state.
const StateFile = stateFile

// Targets is how many targets are probed.
func (n *Node) Targets() int { return len(n.engine.Status().Targets) }
