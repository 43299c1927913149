package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	frameRate = 30
	// A key frame is this much larger than another.
	keyFrame = 4
	// Where a frame says of which layer it is, behind the longest header.
	layerAt = 10
	// The loudness of the microphone in -dBov: somebody speaks.
	level = 30
)

// camera gives VP8 frames of one layer: true headers, filling behind them. A key frame comes first and when asked for.
type camera struct {
	lksdk.BaseSampleProvider
	width, height uint16
	size          int
	layer         byte
	wanted        atomic.Bool
}

func (c *camera) NextSample(context.Context) (media.Sample, error) {
	header, size := []byte{0x11, 0x02, 0x00}, c.size
	if c.wanted.Swap(false) {
		size *= keyFrame
		header = []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a,
			byte(c.width), byte(c.width >> 8), byte(c.height), byte(c.height >> 8)}
	}
	frame := make([]byte, size)
	copy(frame, header)
	frame[layerAt] = c.layer
	return media.Sample{Data: frame, Duration: time.Second / frameRate}, nil
}

func (c *camera) feedback(packet rtcp.Packet) {
	switch packet.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		c.wanted.Store(true)
	}
}

// microphone gives opus at 32 kbit/s.
type microphone struct{ lksdk.BaseSampleProvider }

func (m *microphone) NextSample(context.Context) (media.Sample, error) {
	frame := make([]byte, 80)
	frame[0] = 0xf8
	return media.Sample{Data: frame, Duration: 20 * time.Millisecond}, nil
}

func (m *microphone) CurrentAudioLevel() uint8 { return level }

func publish(host *lksdk.Room) error {
	audio, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		return err
	}
	audio.OnBind(func() { _ = audio.StartWrite(&microphone{}, nil) })
	options := &lksdk.TrackPublicationOptions{Name: "microphone", Source: livekit.TrackSource_MICROPHONE}
	if _, err := host.LocalParticipant.PublishTrack(audio, options); err != nil {
		return err
	}
	if *sound {
		return nil
	}
	layers := []*lksdk.LocalTrack{}
	for number, one := range []struct {
		quality       livekit.VideoQuality
		width, height uint16
		bits          int
	}{
		{livekit.VideoQuality_LOW, 320, 180, 150_000},
		{livekit.VideoQuality_MEDIUM, 640, 360, 500_000},
		{livekit.VideoQuality_HIGH, 1280, 720, 1_700_000},
	} {
		source := &camera{width: one.width, height: one.height, size: one.bits / 8 / frameRate, layer: byte(number)}
		source.wanted.Store(true)
		layer, err := videoLayer(source, one.quality, one.bits)
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	video := &lksdk.TrackPublicationOptions{Name: "camera", Source: livekit.TrackSource_CAMERA, VideoWidth: 1280, VideoHeight: 720}
	_, err = host.LocalParticipant.PublishSimulcastTrack(layers, video)
	return err
}

func videoLayer(source *camera, quality livekit.VideoQuality, bits int) (*lksdk.LocalTrack, error) {
	info := &livekit.VideoLayer{
		Quality: quality, Width: uint32(source.width), Height: uint32(source.height), Bitrate: uint32(bits),
	}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	layer, err := lksdk.NewLocalTrack(vp8, lksdk.WithSimulcast("camera", info), lksdk.WithRTCPHandler(source.feedback))
	if err != nil {
		return nil, err
	}
	layer.OnBind(func() { _ = layer.StartWrite(source, nil) })
	return layer, nil
}
