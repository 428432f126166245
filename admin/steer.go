package admin

import (
	"context"
	"net/http"
	"time"
)

// take reads the body of a change, has it checked, and replies with what became of it. An error of the check is the client's; one of
// the change says that it is not possible now.
func take[Request, Result any](w http.ResponseWriter, r *http.Request, example string, check func(*Request) error,
	change func(context.Context, Request) (Result, error),
) {
	var request Request
	if !readBody(w, r, &request, example) {
		return
	}
	if err := check(&request); err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	unbound(w)
	result, err := change(r.Context(), request)
	if err != nil {
		code := http.StatusUnprocessableEntity
		if TakesForce(err) {
			code = http.StatusConflict
		}
		replyError(w, code, err)
		return
	}
	reply(w, http.StatusOK, result)
}

// unbound takes the time limits from a request that has been read: what it asks for has one of its own. (When the time to read a
// request is over, net/http ends the context of one that was read, too.)
func unbound(w http.ResponseWriter) {
	limits := http.NewResponseController(w)
	limits.SetReadDeadline(time.Time{}) // without a connection there is no limit
	limits.SetWriteDeadline(time.Time{})
}

// reload has no time limit but the backend's own: it waits for addresses that are new.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	unbound(w)
	difference, err := s.backend.ReloadDifference(r.Context())
	if err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, ReloadReply{ConfigStatus: s.backend.Status().Config, Difference: difference})
}

func (s *Server) switchSet(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"instance":"cdn-origin","policy":"Global","set":"primary"}`, func(request *SwitchRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, s.backend.Switch)
}

func (s *Server) listOverrides(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, OverrideList{Overrides: append([]Override{}, s.backend.Overrides()...)})
}

func (s *Server) setOverride(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"address":"192.0.2.1","state":"down","reason":"new kernel","author":"alice","for":"30m"}`, func(request *OverrideRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check(time.Now())
	}, s.backend.SetOverride)
}

func (s *Server) clearOverride(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"id":"o17","author":"alice"}`, func(request *ClearRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, func(ctx context.Context, request ClearRequest) (ClearResult, error) {
		result, err := s.backend.ClearOverride(ctx, request)
		result.Cleared = append([]Override{}, result.Cleared...)
		return result, err
	})
}

// preview changes nothing: whoever may read may ask.
func (s *Server) preview(w http.ResponseWriter, r *http.Request) {
	var request PreviewRequest
	if !readBody(w, r, &request, `{"set":{"address":"192.0.2.1","state":"down"}} or {"clear":"o17"}`) {
		return
	}
	if err := request.Check(time.Now()); err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	preview, err := s.backend.Preview(request)
	if err != nil {
		replyError(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, preview)
}

func (s *Server) startDrill(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"pool":"test1","for":"10m","reason":"quarterly drill","author":"alice"}`, func(request *DrillRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, s.backend.StartDrill)
}

func (s *Server) stopDrill(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"id":"d1","author":"alice"}`, func(request *StopDrillRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, s.backend.StopDrill)
}

func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"address":"192.0.2.1"}`, func(request *ProbeRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, s.backend.Probe)
}

// diff takes the path of a file, so it is for those only who have the rights of the socket.
func (s *Server) diff(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"path":"/etc/gtmd/new.toml"}`, (*DiffRequest).Check, s.backend.Diff)
}

func (s *Server) testAlert(w http.ResponseWriter, r *http.Request) {
	take(w, r, `{"group":"ops","author":"alice"}`, func(request *AlertTestRequest) error {
		request.Author = Author(r.Context(), request.Author)
		return request.Check()
	}, s.backend.TestAlert)
}
