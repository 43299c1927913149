// Package clients runs LiveKit's Go SDK, whose WebRTC is pion, unmodified against a media server.
package clients

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

var (
	url    = env("LIVEKIT_URL", "ws://127.0.0.1:7880")
	key    = env("LIVEKIT_API_KEY", "devkey")
	secret = env("LIVEKIT_API_SECRET", "secretsecretsecretsecretsecretsecret")
)

// until waits for something to become true.
func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if check() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

// guest is a participant that counts what it receives.
type guest struct {
	room         *lksdk.Room
	mutex        sync.Mutex
	packets      map[string]*atomic.Int64
	data         []string
	reconnected  atomic.Int64
	disconnected atomic.Int64
	unsubscribed atomic.Int64
}

func (g *guest) received(name string) int64 {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if count := g.packets[name]; count != nil {
		return count.Load()
	}
	return 0
}

func (g *guest) messages() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return append([]string(nil), g.data...)
}

func join(t *testing.T, room, identity string, options ...lksdk.ConnectOption) *guest {
	t.Helper()
	g := &guest{packets: map[string]*atomic.Int64{}}
	callback := &lksdk.RoomCallback{
		OnReconnected:  func() { g.reconnected.Add(1) },
		OnDisconnected: func() { g.disconnected.Add(1) },
		ParticipantCallback: lksdk.ParticipantCallback{
			OnTrackSubscribed: func(track *webrtc.TrackRemote, publication *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
				count := &atomic.Int64{}
				g.mutex.Lock()
				g.packets[publication.Name()] = count
				g.mutex.Unlock()
				for {
					if _, _, err := track.ReadRTP(); err != nil {
						return
					}
					count.Add(1)
				}
			},
			OnTrackUnsubscribed: func(*webrtc.TrackRemote, *lksdk.RemoteTrackPublication, *lksdk.RemoteParticipant) {
				g.unsubscribed.Add(1)
			},
			OnDataPacket: func(packet lksdk.DataPacket, params lksdk.DataReceiveParams) {
				if user, ok := packet.(*lksdk.UserDataPacket); ok {
					g.mutex.Lock()
					g.data = append(g.data, params.SenderIdentity+": "+string(user.Payload))
					g.mutex.Unlock()
				}
			},
		},
	}
	info := lksdk.ConnectInfo{APIKey: key, APISecret: secret, RoomName: room, ParticipantIdentity: identity}
	connected, err := lksdk.ConnectToRoom(url, info, callback, options...)
	if err != nil {
		t.Fatalf("%s cannot join: %v", identity, err)
	}
	g.room = connected
	t.Cleanup(connected.Disconnect)
	return g
}

// frames gives key frames of VP8 with these dimensions, or silence.
type frames struct {
	lksdk.BaseSampleProvider
	payload  []byte
	interval time.Duration
}

func (f *frames) NextSample(context.Context) (media.Sample, error) {
	return media.Sample{Data: f.payload, Duration: f.interval}, nil
}

func camera(width, height uint16) *frames {
	header := []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, byte(width), byte(width >> 8), byte(height), byte(height >> 8)}
	return &frames{payload: append(header, make([]byte, 300)...), interval: time.Second / 15}
}

func silence() *frames {
	return &frames{payload: []byte{0xf8, 0xff, 0xfe}, interval: 20 * time.Millisecond}
}

func track(t *testing.T, mime string, source *frames, options ...lksdk.LocalTrackOptions) *lksdk.LocalTrack {
	t.Helper()
	clock, channels := uint32(90000), uint16(0)
	if mime == webrtc.MimeTypeOpus {
		clock, channels = 48000, 2
	}
	local, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: clock, Channels: channels}, options...)
	if err != nil {
		t.Fatal(err)
	}
	local.OnBind(func() {
		if err := local.StartWrite(source, nil); err != nil {
			t.Errorf("cannot write: %v", err)
		}
	})
	return local
}

func publish(t *testing.T, g *guest, name string, local *lksdk.LocalTrack, source livekit.TrackSource) *lksdk.LocalTrackPublication {
	t.Helper()
	publication, err := g.room.LocalParticipant.PublishTrack(local, &lksdk.TrackPublicationOptions{Name: name, Source: source})
	if err != nil {
		t.Fatalf("cannot publish %s: %v", name, err)
	}
	return publication
}

func simulcast(t *testing.T) []*lksdk.LocalTrack {
	layer := func(quality livekit.VideoQuality, width, height uint16) *lksdk.LocalTrack {
		info := &livekit.VideoLayer{Quality: quality, Width: uint32(width), Height: uint32(height)}
		return track(t, webrtc.MimeTypeVP8, camera(width, height), lksdk.WithSimulcast("camera", info))
	}
	return []*lksdk.LocalTrack{
		layer(livekit.VideoQuality_LOW, 320, 180),
		layer(livekit.VideoQuality_MEDIUM, 640, 360),
		layer(livekit.VideoQuality_HIGH, 1280, 720),
	}
}

// paths runs a test on both signalling paths.
func paths(t *testing.T, test func(t *testing.T, room string, options []lksdk.ConnectOption)) {
	for name, options := range map[string][]lksdk.ConnectOption{
		"v0": nil,
		"v1": {lksdk.WithSinglePeerConnection()},
	} {
		t.Run(name, func(t *testing.T) {
			test(t, fmt.Sprintf("go-%s-%d", name, time.Now().UnixNano()), options)
		})
	}
}

func TestMediaBothWays(t *testing.T) {
	paths(t, func(t *testing.T, room string, options []lksdk.ConnectOption) {
		ann, bob := join(t, room, "ann", options...), join(t, room, "bob", options...)
		publish(t, ann, "video", track(t, webrtc.MimeTypeVP8, camera(640, 360)), livekit.TrackSource_CAMERA)
		publish(t, ann, "audio", track(t, webrtc.MimeTypeOpus, silence()), livekit.TrackSource_MICROPHONE)
		publish(t, bob, "answer", track(t, webrtc.MimeTypeOpus, silence()), livekit.TrackSource_MICROPHONE)
		until(t, "video arrives", func() bool { return bob.received("video") > 20 })
		until(t, "audio arrives", func() bool { return bob.received("audio") > 20 })
		until(t, "audio arrives the other way", func() bool { return ann.received("answer") > 20 })
		late := join(t, room, "late", options...)
		until(t, "a late viewer gets all", func() bool {
			return late.received("video") > 20 && late.received("audio") > 20 && late.received("answer") > 20
		})
	})
}

func TestSimulcast(t *testing.T) {
	paths(t, func(t *testing.T, room string, options []lksdk.ConnectOption) {
		ann, bob := join(t, room, "ann", options...), join(t, room, "bob", options...)
		pub := &lksdk.TrackPublicationOptions{Name: "video", Source: livekit.TrackSource_CAMERA}
		if _, err := ann.room.LocalParticipant.PublishSimulcastTrack(simulcast(t), pub); err != nil {
			t.Fatal(err)
		}
		until(t, "video arrives", func() bool { return bob.received("video") > 30 })
	})
}

func TestTracksInTheJoin(t *testing.T) {
	room := fmt.Sprintf("go-join-%d", time.Now().UnixNano())
	bob := join(t, room, "bob", lksdk.WithSinglePeerConnection())
	audio := &lksdk.TrackPublicationOptions{Name: "audio", Source: livekit.TrackSource_MICROPHONE}
	video := &lksdk.TrackPublicationOptions{Name: "video", Source: livekit.TrackSource_CAMERA}
	join(t, room, "ann", lksdk.WithSinglePeerConnection(),
		lksdk.WithTrack(track(t, webrtc.MimeTypeOpus, silence()), audio),
		lksdk.WithSimulcastTrack(simulcast(t), video))
	until(t, "both arrive", func() bool { return bob.received("audio") > 20 && bob.received("video") > 20 })
}

func TestUnpublishAndPublishAgain(t *testing.T) {
	paths(t, func(t *testing.T, room string, options []lksdk.ConnectOption) {
		ann, bob := join(t, room, "ann", options...), join(t, room, "bob", options...)
		for round := range 5 {
			name := fmt.Sprintf("video-%d", round)
			pub := publish(t, ann, name, track(t, webrtc.MimeTypeVP8, camera(320, 180)), livekit.TrackSource_CAMERA)
			until(t, name+" arrives", func() bool { return bob.received(name) > 5 })
			if err := ann.room.LocalParticipant.UnpublishTrack(pub.SID()); err != nil {
				t.Fatal(err)
			}
			until(t, name+" is gone", func() bool { return bob.unsubscribed.Load() == int64(round+1) })
		}
	})
}

func TestData(t *testing.T) {
	paths(t, func(t *testing.T, room string, options []lksdk.ConnectOption) {
		ann, bob := join(t, room, "ann", options...), join(t, room, "bob", options...)
		carl := join(t, room, "carl", options...)
		send := func(text string, options ...lksdk.DataPublishOption) {
			if err := ann.room.LocalParticipant.PublishDataPacket(lksdk.UserData([]byte(text)), options...); err != nil {
				t.Fatal(err)
			}
		}
		send("all", lksdk.WithDataPublishReliable(true))
		send("bob", lksdk.WithDataPublishReliable(true), lksdk.WithDataPublishDestination([]string{"bob"}))
		until(t, "reliable data", func() bool { return len(bob.messages()) == 2 && len(carl.messages()) == 1 })
		if got := bob.messages(); got[0] != "ann: all" || got[1] != "ann: bob" {
			t.Fatalf("got %v", got)
		}
		until(t, "lossy data", func() bool {
			send("lossy", lksdk.WithDataPublishReliable(false))
			return len(carl.messages()) > 1
		})
	})
}

func TestReconnects(t *testing.T) {
	paths(t, func(t *testing.T, room string, options []lksdk.ConnectOption) {
		ann, bob := join(t, room, "ann", options...), join(t, room, "bob", options...)
		publish(t, ann, "audio", track(t, webrtc.MimeTypeOpus, silence()), livekit.TrackSource_MICROPHONE)
		until(t, "audio arrives", func() bool { return bob.received("audio") > 20 })
		ann.room.Simulate(lksdk.SimulateSignalReconnect)
		bob.room.Simulate(lksdk.SimulateSignalReconnect)
		until(t, "both are back", func() bool { return ann.reconnected.Load() > 0 && bob.reconnected.Load() > 0 })
		before := bob.received("audio")
		until(t, "audio goes on", func() bool { return bob.received("audio") > before+20 })
	})
}

func TestRemoval(t *testing.T) {
	room := fmt.Sprintf("go-remove-%d", time.Now().UnixNano())
	ann := join(t, room, "ann")
	service := lksdk.NewRoomServiceClient(url, key, secret)
	people, err := service.ListParticipants(context.Background(), &livekit.ListParticipantsRequest{Room: room})
	if err != nil || len(people.Participants) != 1 {
		t.Fatalf("%v, %v", people, err)
	}
	identity := &livekit.RoomParticipantIdentity{Room: room, Identity: "ann"}
	if _, err := service.RemoveParticipant(context.Background(), identity); err != nil {
		t.Fatal(err)
	}
	until(t, "it is disconnected", func() bool { return ann.disconnected.Load() > 0 })
}
