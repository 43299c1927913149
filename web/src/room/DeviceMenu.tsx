// Another camera or microphone while we are in the room.

import { useRoomContext } from '@livekit/components-react';
import { useState } from 'react';
import { keep } from '../lib/storage';
import { Icon } from '../ui/Icon';
import { Menu, type MenuItem } from '../ui/Menu';
import { usePage } from './context';
import { type DeviceChoice, useDevices } from './devices';

/** The menu; nothing while there is no device to choose. */
export function DeviceMenu() {
  const { session } = usePage();
  const room = useRoomContext();
  const [changed, setChanged] = useState(0);
  const cameras = useDevices('videoinput', changed);
  const microphones = useDevices('audioinput', changed);
  const choose = async (kind: 'videoinput' | 'audioinput', id: string) => {
    keep('local', kind === 'videoinput' ? 'camera' : 'microphone', id);
    await room.switchActiveDevice(kind, id).catch(() => session.say('That device could not be used.'));
    setChanged((count) => count + 1);
  };
  const lines = (kind: 'videoinput' | 'audioinput', devices: DeviceChoice[]): MenuItem[] =>
    devices.map(({ id, label }) => ({
      label,
      checked: room.getActiveDevice(kind) === id,
      onSelect: () => void choose(kind, id),
    }));
  const items = [...lines('videoinput', cameras), ...lines('audioinput', microphones)];
  if (items.length === 0) return null;
  return (
    <Menu
      label="Camera and microphone"
      className="control control-narrow"
      heading="Camera and microphone"
      align="start"
      items={items}
    >
      <Icon name="down" />
    </Menu>
  );
}
