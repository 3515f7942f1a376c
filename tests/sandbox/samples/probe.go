// Probe says what a process in a sandbox sees and may do; its tests read the JSON.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

type facts struct {
	UID, EUID, GID, PID, PPID int
	Groups                    []int
	Env                       []string
	Args                      []string
	Folder, Hostname          string
	Status                    map[string]string
	Mounts                    []string
	Descriptors               []string
	User                      string
	Processes                 []string
	Umask                     string
}

func main() {
	command := "facts"
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "facts":
		tell()
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "kill":
		number, _ := strconv.Atoi(os.Args[2])
		signal.Reset(syscall.Signal(number))
		syscall.Kill(os.Getpid(), syscall.Signal(number))
		time.Sleep(time.Minute)
	case "wait":
		wait()
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	case "orphans":
		orphans()
	case "try":
		for _, path := range os.Args[2:] {
			fmt.Println(try(path))
		}
	case "eat":
		for size := 1 << 20; ; size *= 2 {
			block := make([]byte, size)
			for place := 0; place < size; place += 4096 {
				block[place] = 1
			}
		}
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "serve":
		serve(os.Args[2])
	case "again":
		output, err := exec.Command("/proc/self/exe", os.Args[2:]...).CombinedOutput()
		fmt.Print(string(output))
		if err != nil {
			fmt.Println("again:", err)
		}
	case "call":
		output, err := exec.Command(os.Args[2], os.Args[3:]...).CombinedOutput()
		fmt.Print(string(output))
		if err != nil {
			fmt.Println("call:", err)
		}
	case "terminal":
		terminal()
	case "socket":
		_, err := syscall.Socket(number(2), number(3), number(4))
		fmt.Println(say(err))
	case "dial":
		connection, err := net.DialTimeout(os.Args[2], os.Args[3], 2*time.Second)
		if err != nil {
			fmt.Println(say(err))
			return
		}
		connection.SetDeadline(time.Now().Add(5 * time.Second))
		answer, _ := io.ReadAll(connection)
		fmt.Println("reached", strings.TrimSpace(string(answer)))
	case "lookup":
		fmt.Println(net.LookupHost(os.Args[2]))
	case "unshare":
		fmt.Println(say(syscall.Unshare(number(2))))
	case "device":
		fmt.Println(say(syscall.Mknod(os.Args[2], syscall.S_IFBLK|0o666, 254<<8)))
		fmt.Println(try("read:" + os.Args[2]))
	}
}

func number(place int) int {
	value, err := strconv.ParseInt(os.Args[place], 0, 0)
	if err != nil {
		panic(err)
	}
	return int(value)
}

func tell() {
	folder, _ := os.Getwd()
	host, _ := os.Hostname()
	groups, _ := os.Getgroups()
	seen := facts{
		UID: os.Getuid(), EUID: os.Geteuid(), GID: os.Getgid(), PID: os.Getpid(), PPID: os.Getppid(),
		Groups: groups, Env: os.Environ(), Args: os.Args, Folder: folder, Hostname: host, Status: map[string]string{},
	}
	for _, line := range lines("/proc/self/status") {
		name, value, _ := strings.Cut(line, ":")
		seen.Status[name] = strings.TrimSpace(value)
	}
	seen.Mounts = lines("/proc/self/mountinfo")
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/proc/") {
			seen.Descriptors = append(seen.Descriptors, target)
		}
	}
	entries, _ = os.ReadDir("/proc")
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			seen.Processes = append(seen.Processes, entry.Name())
		}
	}
	if current, err := user.Current(); err == nil {
		seen.User = current.Username
	}
	json.NewEncoder(os.Stdout).Encode(seen)
}

// terminal says whether there is one and how large it is, then what is typed.
func terminal() {
	size := struct{ Rows, Columns, X, Y uint16 }{}
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	_, err := os.Open("/dev/tty")
	fmt.Println(failed == 0, size.Rows, size.Columns, say(err), os.Getenv("TERM"))
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Print("typed ", line)
	time.Sleep(time.Hour)
}

func lines(path string) []string {
	content, _ := os.ReadFile(path)
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// wait says the name of each signal it gets and ends at SIGUSR2 with 7.
func wait() {
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	fmt.Println("ready")
	for number := range caught {
		fmt.Println(number)
		if number == syscall.SIGUSR2 {
			os.Exit(7)
		}
	}
}

// orphans leaves processes behind that end after it, and one that would live for an hour.
func orphans() {
	for count := 0; count < 20; count++ {
		exec.Command("/proc/self/exe", "again", "exit", "0").Start()
	}
	sleeper := exec.Command("/proc/self/exe", "sleep")
	sleeper.Stdout = nil
	sleeper.Start()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("left")
}

// try says what it may do with `read:PATH`, `write:PATH`, `list:PATH`, `mkdir:PATH` or `stat:PATH`.
func try(what string) string {
	verb, path, _ := strings.Cut(what, ":")
	switch verb {
	case "read":
		file, err := os.Open(path)
		if err != nil {
			return say(err)
		}
		content := make([]byte, 200)
		count, err := file.Read(content)
		if err != nil && !errors.Is(err, io.EOF) {
			return say(err)
		}
		return strconv.Quote(string(content[:count]))
	case "write":
		return say(os.WriteFile(path, []byte("written"), 0o644))
	case "mkdir":
		return say(os.Mkdir(path, 0o755))
	case "chmod":
		return say(os.Chmod(path, 0o600))
	case "chown":
		return say(os.Chown(path, 1, 1))
	case "remove":
		return say(os.RemoveAll(path))
	case "rename":
		from, to, _ := strings.Cut(path, ":")
		return say(os.Rename(from, to))
	case "list":
		entries, err := os.ReadDir(path)
		names := []string{}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		if err != nil {
			return say(err)
		}
		return strings.Join(names, " ")
	case "stat":
		status, err := os.Lstat(path)
		if err != nil {
			return say(err)
		}
		raw := status.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%v %d %d %d", status.Mode(), raw.Uid, raw.Gid, raw.Nlink)
	}
	return "unknown"
}

func say(err error) string {
	if err == nil {
		return "ok"
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, "hello from the inside")
	}))
}
