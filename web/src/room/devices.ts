// The cameras and microphones there are, kept current.

import { useEffect, useState } from 'react';

/** One device. Before permission was given browsers leave out its name. */
export interface DeviceChoice {
  id: string;
  label: string;
}

/** The devices of one kind. `again` asks once more when it changes, for names come with the permission. */
export function useDevices(kind: 'videoinput' | 'audioinput', again: unknown): DeviceChoice[] {
  const [devices, setDevices] = useState<DeviceChoice[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `again` is there to ask once more.
  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (media === undefined) return;
    let wanted = true;
    const look = async () => {
      const all = await media.enumerateDevices().catch(() => []);
      const ours = all.filter((device) => device.kind === kind && device.deviceId !== '');
      if (wanted)
        setDevices(
          ours.map((device, at) => ({ id: device.deviceId, label: device.label || `Device ${at + 1}` })),
        );
    };
    void look();
    media.addEventListener('devicechange', look);
    return () => {
      wanted = false;
      media.removeEventListener('devicechange', look);
    };
  }, [kind, again]);
  return devices;
}
