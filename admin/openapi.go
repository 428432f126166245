package admin

import (
	_ "embed"
	"net/http"
)

// openAPI is the description of the API (OpenAPI 3.1). Tests hold it against the routes and the types.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(openAPI)
}
