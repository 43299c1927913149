package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// How many packets back a repeated one is recognised.
const memorable = 4096

// counts is what arrived on tracks since they began.
type counts struct{ packets, bytes, expected int64 }

// track counts one track; a retransmission is recognised by its sequence number.
type track struct {
	counts
	first, highest int64
	seen           [memorable]int64
}

// viewer counts what it receives and shows nothing.
type viewer struct {
	mutex  sync.Mutex
	tracks []*track
}

func (v *viewer) receive(remote *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
	counted := &track{first: -1}
	v.mutex.Lock()
	v.tracks = append(v.tracks, counted)
	v.mutex.Unlock()
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		v.mutex.Lock()
		counted.add(packet.SequenceNumber, len(packet.Payload))
		v.mutex.Unlock()
	}
}

// add counts a packet once. Bytes are those of payloads alone: headers differ between servers and would flatter
// the one with the longer ones, as padding would the one that probes with it.
func (t *track) add(number uint16, payload int) {
	if t.first < 0 {
		t.first = 1<<16 + int64(number)
		t.highest = t.first - 1
	}
	extended := t.highest + int64(int16(number-uint16(t.highest)))
	if extended <= t.highest-memorable || t.seen[extended%memorable] == extended {
		return
	}
	t.seen[extended%memorable] = extended
	t.highest = max(t.highest, extended)
	t.expected = t.highest - t.first + 1
	t.packets++
	t.bytes += int64(payload)
}

func total(audience []*viewer) counts {
	var sum counts
	for _, v := range audience {
		v.mutex.Lock()
		for _, t := range v.tracks {
			sum.packets += t.packets
			sum.bytes += t.bytes
			sum.expected += t.expected
		}
		v.mutex.Unlock()
	}
	return sum
}

// wanted is how many tracks a viewer should get.
func wanted() int {
	if *sound {
		return 1
	}
	return 2
}

// watching says how many viewers get picture and sound.
func watching(audience []*viewer) int {
	count := 0
	for _, v := range audience {
		v.mutex.Lock()
		flowing := 0
		for _, t := range v.tracks {
			if t.packets > 0 {
				flowing++
			}
		}
		if flowing == wanted() {
			count++
		}
		v.mutex.Unlock()
	}
	return count
}

// cpuTime is what a process has spent in user and kernel mode (proc(5)).
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name may hold spaces and ends with the last parenthesis; utime is the 14th field, stime the 15th.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has another form", pid)
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	// Linux counts these in hundredths of a second for programs, whatever its own tick.
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// memory is what a process holds now and held at most, in KiB.
func memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, ":")
		number, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			resident = number
		case "VmHWM":
			peak = number
		}
	}
	return resident, peak, nil
}
