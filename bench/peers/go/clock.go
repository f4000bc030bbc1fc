package main

import (
	"golang.org/x/sys/unix"
)

// monotonic reads the clock that Python's time.monotonic reads, in nanoseconds.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		fail(err)
	}
	return now.Nano()
}
