package healthcheck

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

// serving is ServingStatus.SERVING of grpc.health.v1.
const serving = 1

// errFieldNumber is that a message has a field with a number that none can have.
var errFieldNumber = errors.New("invalid field number")

// healthRequest packs a HealthCheckRequest of grpc.health.v1.
func healthRequest(service string) []byte {
	if service == "" {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), service)
}

// judgeHealth says whether a HealthCheckResponse of grpc.health.v1 is good. Its error is a reason.
func judgeHealth(message []byte) error {
	status, err := healthStatus(message)
	if err != nil {
		return newReason(err, "gRPC: malformed answer: %s", strings.TrimSpace(strings.TrimPrefix(err.Error(), "proto:")))
	}
	switch status {
	case serving:
		return nil
	case 0:
		return newReason(nil, "gRPC: UNKNOWN")
	case 2:
		return newReason(nil, "gRPC: NOT_SERVING")
	case 3:
		return newReason(nil, "gRPC: SERVICE_UNKNOWN")
	default:
		return newReason(nil, "gRPC: serving status %d, which the protocol does not have", status)
	}
}

// healthStatus returns the serving status of a HealthCheckResponse. Fields that it does not know are skipped; of fields that
// come twice the last counts.
func healthStatus(message []byte) (status int32, err error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return 0, errFieldNumber
		}
		message = message[n:]
		if number == 1 && kind == protowire.VarintType {
			value, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return 0, protowire.ParseError(n)
			}
			status, message = int32(value), message[n:] // An enum is an int32 in the end.
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return 0, protowire.ParseError(n)
		}
		message = message[n:]
	}
	return status, nil
}

// isCallType reports whether a content type is that of gRPC, perhaps with its encoding.
func isCallType(kind string) bool {
	rest, ok := strings.CutPrefix(kind, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// judgeStatus says whether the trailer of a call tells of success. Its error is a reason.
func judgeStatus(trailer []hpack.HeaderField) error {
	text := valueOf(trailer, "grpc-status")
	switch text {
	case "0":
		return nil
	case "":
		return newReason(nil, "gRPC: answer without a status")
	}
	code, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return newReason(nil, "gRPC: malformed answer: status %q", clip(text, 20))
	}
	name := ""
	if names := callStatuses(); code < uint64(len(names)) {
		name = " (" + names[code] + ")"
	}
	message := valueOf(trailer, "grpc-message")
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	if message != "" {
		message = ": " + message
	}
	return newReason(nil, "gRPC: status %d%s%s", code, name, message)
}

// callStatuses returns the names of the status codes of gRPC.
func callStatuses() []string {
	return []string{
		"ok", "canceled", "unknown", "invalid argument", "deadline exceeded", "not found", "already exists",
		"permission denied", "resource exhausted", "failed precondition", "aborted", "out of range", "unimplemented",
		"internal", "unavailable", "data loss", "unauthenticated",
	}
}
