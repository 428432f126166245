package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"

	"gtmd/admin"
)

//go:embed static
var staticFiles embed.FS

// assets are the files that pages refer to. Browsers keep them and ask whether they are the same still.
func assets() []admin.Page {
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // it is embedded
	}
	var pages []admin.Page
	for _, file := range files {
		content, err := staticFiles.ReadFile("static/" + file.Name())
		if err != nil {
			panic(err)
		}
		pages = append(pages, admin.Page{
			Pattern: "GET /static/" + file.Name(), Name: "static", Access: admin.Everyone, Handler: asset(file.Name(), content),
		})
	}
	return pages
}

func asset(name string, content []byte) http.HandlerFunc {
	hash := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(hash[:8]) + `"`
	kind := mimeType(name)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Write(content)
	}
}

// mimeType does not depend on the files of the machine.
func mimeType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}
