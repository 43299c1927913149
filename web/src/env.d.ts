/// <reference types="vite/client" />

// LiveKit's styles are plain files; their package describes only the SCSS ones.
declare module '@livekit/components-styles/components/*';
