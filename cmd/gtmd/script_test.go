package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the texts that the scripts compare to anew")

// TestMain makes this test binary also the gtmd that the scripts run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gtmd": main})
}

// TestScripts runs the scripts in testdata/script: the contract of the command line, with its exit codes and its words.
//
// Beside what testscript has, they use:
//
//	exits CODE PROGRAM ARGS...    run a program to its end and check the exit code
//	until REGEXP PROGRAM ARGS...  run it again and again until it prints what is wanted
//	untillog REGEXP               wait until the log of the daemon has a line
//	daemon run ARGS...            start gtmd in the background; what it says is in the file "log"
//	daemon HUP|USR1|TERM|INT|KILL send it a signal
//	daemon wait CODE              wait for its end and check the exit code
//	origin start|stop NAME        start or stop a web server at $NAME:$PORT
//	expand FILE...                put the environment into files
//	mmdb FILE ROWS                make a geo database of a table: its type and date, then a network and what is known of it in each row
//
// and the condition [demoports]: no program has the fixed ports of the demo.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": untilCommand, "untillog": untilLog, "daemon": daemonCommand, "origin": originCommand,
			"expand": expand, "mmdb": writeDatabase,
		},
		Condition:     condition,
		UpdateScripts: *update,
	})
}

// stage is what one script has running in the background.
type stage struct {
	daemon  *exec.Cmd
	servers map[string]*http.Server
}

type stageKey struct{}

// setUp gives a script a stage, and the names of two origins on one port that is free on both.
func setUp(env *testscript.Env) error {
	s := &stage{servers: map[string]*http.Server{}}
	env.Values[stageKey{}] = s
	env.Defer(func() {
		if s.daemon != nil {
			s.daemon.Process.Kill()
			s.daemon.Wait()
		}
		for _, server := range s.servers {
			server.Close()
		}
	})
	one, two := fmt.Sprintf("127.78.%d.1", os.Getpid()%250), fmt.Sprintf("127.78.%d.2", os.Getpid()%250)
	l, err := net.Listen("tcp", one+":0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	env.Setenv("ONE", one)
	env.Setenv("TWO", two)
	env.Setenv("PORT", port)
	env.Setenv("UID", strconv.Itoa(os.Getuid()))
	env.Setenv("GORACE", "atexit_sleep_ms=10") // else every program of a run with -race ends a second late
	return errors.Join(err, l.Close())
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code is %d, want %s", code, args[0])
	}
}

// patience is how long a script waits for something.
const patience = 20 * time.Second

func untilCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP PROGRAM ARGS...")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v did not print %s", args[1:], args[0])
		}
	}
}

func untilLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: untillog REGEXP")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		text := ts.ReadFile("log")
		if wanted.MatchString(text) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the log has no %s:\n%s", args[0], text)
		}
	}
}

// daemonCommand is the script command "daemon".
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon run ARGS... | SIGNAL | wait CODE")
	}
	s := stageOf(ts)
	switch args[0] {
	case "run":
		ts.Check(s.run(ts, args[1:]))
	case "wait":
		ended := make(chan error, 1)
		go func() { ended <- s.daemon.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			s.daemon.Process.Kill()
			ts.Fatalf("the daemon did not end:\n%s", ts.ReadFile("log"))
		}
		if code := s.daemon.ProcessState.ExitCode(); strconv.Itoa(code) != args[1] {
			ts.Fatalf("the daemon ended with %v, want %s:\n%s", s.daemon.ProcessState, args[1], ts.ReadFile("log"))
		}
		s.daemon = nil
	default:
		signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
		if signals[args[0]] == nil {
			ts.Fatalf("no signal %s", args[0])
		}
		ts.Check(s.daemon.Process.Signal(signals[args[0]]))
	}
}

// run starts a gtmd in the background, with the environment of the script.
func (s *stage) run(ts *testscript.TestScript, args []string) error {
	// testscript puts its directory of programs first.
	program := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "gtmd")
	out, err := os.Create(ts.MkAbs("out"))
	if err != nil {
		return err
	}
	defer out.Close()
	log, err := os.Create(ts.MkAbs("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.daemon = exec.Command(program, args...)
	s.daemon.Dir, s.daemon.Stdout, s.daemon.Stderr = ts.MkAbs("."), out, log
	for _, name := range []string{"PATH", "TMPDIR", "HOME", "GORACE"} {
		s.daemon.Env = append(s.daemon.Env, name+"="+ts.Getenv(name))
	}
	return s.daemon.Start()
}

// originCommand is the script command "origin".
func originCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: origin start|stop NAME")
	}
	s := stageOf(ts)
	if args[0] == "stop" {
		ts.Check(s.servers[args[1]].Close())
		return
	}
	l, err := net.Listen("tcp", ts.Getenv(args[1])+":"+ts.Getenv("PORT"))
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	s.servers[args[1]] = server
	go server.Serve(l)
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// condition decides [demoports]: the fixed ports of the demo are free.
func condition(name string) (bool, error) {
	if name != "demoports" {
		return false, fmt.Errorf("no condition %s", name)
	}
	for _, address := range []string{"127.0.0.1:5300", "127.0.0.1:8553", "127.0.0.2:8080", "127.0.0.3:8080"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return false, nil
		}
		l.Close()
	}
	return true, nil
}
