package main

import (
	"fmt"
	"os/exec"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

const (
	highest = 2
	// how long the viewer gets everything before, too little, and everything again
	free     = 8 * time.Second
	squeezed = 20 * time.Second
	after    = 25 * time.Second
	// until when a viewer should have settled on less
	settled = 3 * time.Second
	// how often sound is sent
	piece = 20 * time.Millisecond
)

// squeezing is how a viewer fared whose connection carried too little for a while.
type squeezing struct {
	Low         float64 `json:"low_seconds"`       // until nothing above the low layer came any more; -1: it never ended
	Back        float64 `json:"back_seconds"`      // until the high layer came back after the connection did; -1: never
	LostAtOnce  int     `json:"sound_lost_first"`  // pieces of sound lost within the first seconds
	LostLater   int     `json:"sound_lost_later"`  // and after them
	SentLater   int     `json:"sound_sent_later"`  // pieces sent in that time
	Gap         float64 `json:"sound_gap_seconds"` // the longest time without any sound, from when the connection narrowed
	LowMegabits float64 `json:"video_mbits"`       // video per second once settled
	Pictures    float64 `json:"frames_per_second"` // frames begun per second once settled
	Layers      string  `json:"layers"`            // when which layer came, in seconds since it narrowed
}

// arrival is one packet.
type arrival struct {
	at     time.Time
	number uint16
	size   int
	// -1: not the beginning of a frame
	layer int
}

// watcher keeps every packet that comes.
type watcher struct {
	mutex        sync.Mutex
	sound, video []arrival
}

func (w *watcher) receive(remote *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
	list := &w.video
	if remote.Kind() == webrtc.RTPCodecTypeAudio {
		list = &w.sound
	}
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		one := arrival{time.Now(), packet.SequenceNumber, len(packet.Payload), -1}
		if list == &w.video {
			one.layer = layerOf(packet)
		}
		w.mutex.Lock()
		*list = append(*list, one)
		w.mutex.Unlock()
	}
}

// layerOf reads the mark that the camera leaves in the first packet of a frame.
func layerOf(packet *rtp.Packet) int {
	var vp8 codecs.VP8Packet
	frame, err := vp8.Unmarshal(packet.Payload)
	if err != nil || vp8.S == 0 || vp8.PID != 0 || len(frame) <= layerAt {
		return -1
	}
	return int(frame[layerAt])
}

func squeeze() (*squeezing, error) {
	room := fmt.Sprintf("squeeze-%d", time.Now().UnixNano())
	host, err := join(room, "host", nil)
	if err != nil {
		return nil, err
	}
	defer host.Disconnect()
	if err := publish(host); err != nil {
		return nil, err
	}
	seen := &watcher{}
	guest, err := join(room, "viewer", seen.receive)
	if err != nil {
		return nil, err
	}
	defer guest.Disconnect()
	for end := time.Now().Add(patience); !seen.onHighest(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, fmt.Errorf("the viewer never gets the high layer")
		}
	}
	time.Sleep(free)
	narrowed, err := shell(*narrow)
	if err != nil {
		return nil, err
	}
	time.Sleep(squeezed)
	widened, err := shell(*widen)
	if err != nil {
		return nil, err
	}
	time.Sleep(after)
	seen.mutex.Lock()
	defer seen.mutex.Unlock()
	return seen.judge(narrowed, widened), nil
}

// shell runs a command and says when it was done.
func shell(command string) (time.Time, error) {
	if text, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w: %s", command, err, text)
	}
	return time.Now(), nil
}

func (w *watcher) onHighest() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.sound) > 0 && w.layerAt(time.Now()) == highest
}

// layerAt is the layer of the last frame begun before a time.
func (w *watcher) layerAt(at time.Time) int {
	for i := len(w.video) - 1; i >= 0; i-- {
		if w.video[i].layer >= 0 && w.video[i].at.Before(at) {
			return w.video[i].layer
		}
	}
	return -1
}

func (w *watcher) judge(narrowed, widened time.Time) *squeezing {
	result := &squeezing{Low: -1, Back: -1}
	calm := narrowed.Add(settled)
	last, layer := narrowed, -1
	for _, one := range w.video {
		if one.layer < 0 {
			continue
		}
		if one.at.After(narrowed) && one.at.Before(widened) && one.layer > 0 {
			last = one.at
		}
		if one.at.After(widened) && one.layer == highest && result.Back < 0 {
			result.Back = one.at.Sub(widened).Seconds()
		}
		if one.layer != layer {
			layer = one.layer
			result.Layers += fmt.Sprintf("%.1f:%d ", one.at.Sub(narrowed).Seconds(), layer)
		}
	}
	if widened.Sub(last) > time.Second {
		result.Low = last.Sub(narrowed).Seconds()
	}
	span := widened.Sub(calm).Seconds()
	for _, one := range w.video {
		if one.at.After(calm) && one.at.Before(widened) {
			result.LowMegabits += float64(one.size) * 8 / 1e6 / span
			if one.layer >= 0 {
				result.Pictures += 1 / span
			}
		}
	}
	result.LostAtOnce, result.Gap = w.lost(narrowed, calm), w.longestGap(narrowed, widened)
	result.LostLater = w.lost(calm, widened)
	result.SentLater = int(widened.Sub(calm) / piece)
	return result
}

// lost counts sound between the first and the last piece that came in a span of time.
func (w *watcher) lost(from, to time.Time) int {
	came := map[uint16]bool{}
	var first, last *arrival
	for i := range w.sound {
		one := &w.sound[i]
		if one.at.Before(from) || one.at.After(to) {
			continue
		}
		if first == nil {
			first = one
		}
		last = one
		came[one.number] = true
	}
	if first == nil {
		return int(to.Sub(from) / piece)
	}
	return int(last.number-first.number) + 1 - len(came)
}

// longestGap is the longest time in which no sound came.
func (w *watcher) longestGap(from, to time.Time) float64 {
	longest, before := 0.0, from
	for _, one := range w.sound {
		if one.at.Before(from) || one.at.After(to) {
			continue
		}
		longest, before = max(longest, one.at.Sub(before).Seconds()), one.at
	}
	return max(longest, to.Sub(before).Seconds())
}
