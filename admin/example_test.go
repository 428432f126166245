package admin_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
)

func Example() {
	server, err := admin.New(newBackend(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	change, err := server.Prepare(admin.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	change.Commit()
	response, err := http.Get("http://" + server.Address().String() + "/readyz")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%s %s%v", response.Status, body, err)
	// Output:
	// 200 OK ready
	// <nil>
}
