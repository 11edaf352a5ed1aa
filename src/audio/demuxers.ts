/**
 * FFmpeg's demuxers that may open a source, in either program: video and sound files. Playlists, scripts, images, devices
 * and everything that leads to another file or to the network is left out.
 */
export const DEMUXERS: readonly string[] =
  'mov,matroska,avi,flv,mpegts,mpeg,asf,ogg,wav,w64,aiff,caf,mp3,aac,ac3,eac3,flac,amr,mxf,rm,dv'.split(',');
