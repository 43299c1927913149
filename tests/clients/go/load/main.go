// Command load publishes one camera (720p, three simulcast layers) and one microphone to a media server,
// lets a number of viewers watch, and prints as JSON what came through and what the server spent on it.
//
// With -narrow it has one viewer, whose connection it narrows and widens again, and prints how sound and picture
// fared: the load of scripts/bench-congestion. With -people they come and go: the load of scripts/soak.
//
// It is LiveKit's Go SDK, unmodified, on both sides; the pictures are made up, in the sizes and at the rate of
// a camera. Nothing passes or fails here: it is the load of scripts/bench-media.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

var (
	url     = flag.String("url", "ws://127.0.0.1:7880", "the media server")
	key     = flag.String("key", "devkey", "its API key")
	secret  = flag.String("secret", "secretsecretsecretsecretsecretsecret", "the key's secret")
	viewers = flag.Int("viewers", 1, "how many watch")
	settle  = flag.Duration("settle", 4*time.Second, "time between the last viewer's first picture and the measurement")
	length  = flag.Duration("duration", 15*time.Second, "how long to measure")
	pid     = flag.Int("pid", 0, "process id of the media server")
	narrow  = flag.String("narrow", "", "command that narrows the viewer's connection: then that is measured, with one viewer")
	widen   = flag.String("widen", "", "command that widens it again")
	people  = flag.Int("people", 0, "how many come and go all the time: then that is done for the duration")
	sound   = flag.Bool("sound", false, "publish and watch sound alone")
)

const (
	// between two viewers who join, so that the measurement is of forwarding and not of a rush
	spacing  = 50 * time.Millisecond
	patience = 60 * time.Second
)

// result is what one run measured; rates are over the measured time alone.
type result struct {
	Viewers  int     `json:"viewers"`
	Seconds  float64 `json:"seconds"`
	Megabits float64 `json:"megabits"` // RTP payloads that the viewers got, without headers
	Packets  int64   `json:"packets"`
	Lost     int64   `json:"lost"` // packets that were never seen, retransmissions counted as seen
	CPU      float64 `json:"cpu_ms"`
	Peak     int64   `json:"peak_kib"`
	Resident int64   `json:"resident_kib"`
}

func main() {
	flag.Parse()
	lksdk.SetLogger(logger.LogRLogger(logr.Discard()))
	var measured any
	var err error
	switch {
	case *narrow != "":
		measured, err = squeeze()
	case *people > 0:
		measured, err = soak()
	default:
		measured, err = run()
	}
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(measured); err != nil {
		log.Fatal(err)
	}
}

func run() (*result, error) {
	room := fmt.Sprintf("load-%d", time.Now().UnixNano())
	host, err := join(room, "host", nil)
	if err != nil {
		return nil, err
	}
	defer host.Disconnect()
	if err := publish(host); err != nil {
		return nil, err
	}
	audience := make([]*viewer, *viewers)
	for i := range audience {
		audience[i] = &viewer{}
		guest, err := join(room, fmt.Sprintf("viewer-%d", i), audience[i].receive)
		if err != nil {
			return nil, err
		}
		defer guest.Disconnect()
		time.Sleep(spacing)
	}
	for end := time.Now().Add(patience); watching(audience) < len(audience); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, fmt.Errorf("only %d of %d viewers get picture and sound", watching(audience), len(audience))
		}
	}
	time.Sleep(*settle)
	return measure(audience)
}

// receiver takes what comes on a track, until it ends.
type receiver = func(*webrtc.TrackRemote, *lksdk.RemoteTrackPublication, *lksdk.RemoteParticipant)

func join(room, identity string, receive receiver) (*lksdk.Room, error) {
	callback, options := &lksdk.RoomCallback{}, []lksdk.ConnectOption{}
	// LiveKit 1.13.5 takes all layers that this SDK publishes on a single connection for the lowest one,
	// because the SDK names no RIDs in its request: the publisher has a connection of its own for sending.
	if receive != nil {
		callback.OnTrackSubscribed = receive
		options = append(options, lksdk.WithSinglePeerConnection())
	}
	info := lksdk.ConnectInfo{APIKey: *key, APISecret: *secret, RoomName: room, ParticipantIdentity: identity}
	connected, err := lksdk.ConnectToRoom(*url, info, callback, options...)
	if err != nil {
		return nil, fmt.Errorf("%s cannot join: %w", identity, err)
	}
	return connected, nil
}

func measure(audience []*viewer) (*result, error) {
	cpu, err := cpuTime(*pid)
	if err != nil {
		return nil, err
	}
	started, before := time.Now(), total(audience)
	time.Sleep(*length)
	after, seconds := total(audience), time.Since(started).Seconds()
	spent, err := cpuTime(*pid)
	if err != nil {
		return nil, err
	}
	resident, peak, err := memory(*pid)
	if err != nil {
		return nil, err
	}
	packets := after.packets - before.packets
	return &result{
		Viewers:  len(audience),
		Seconds:  seconds,
		Megabits: float64(after.bytes-before.bytes) * 8 / 1e6,
		Packets:  packets,
		Lost:     max(0, after.expected-before.expected-packets),
		CPU:      float64((spent - cpu).Milliseconds()),
		Peak:     peak,
		Resident: resident,
	}, nil
}
