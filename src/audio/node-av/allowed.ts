/**
 * Demuxers that may open a source: video and sound files. Playlists, scripts, images, devices and everything that
 * leads to another file or to the network is left out.
 */
export const DEMUXERS =
  'mov,matroska,avi,flv,mpegts,mpeg,asf,ogg,wav,w64,aiff,caf,mp3,aac,ac3,eac3,flac,amr,mxf,rm,dv'.split(',');

/** Decoders that may run: the sound codecs of these containers, and none for pictures. */
export const DECODERS = [
  ...[
    'aac',
    'aac_latm',
    'mp1',
    'mp2',
    'mp3',
    'mp1float',
    'mp2float',
    'mp3float',
    'opus',
    'vorbis',
    'flac',
    'alac',
  ],
  ...['ac3', 'eac3', 'dca', 'truehd', 'mlp', 'wmav1', 'wmav2', 'wmapro', 'wmalossless', 'wmavoice'],
  ...['amrnb', 'amrwb', 'cook', 'real_144', 'real_288', 'sipr', 'ralf', 'atrac3', 'nellymoser', 'speex'],
  ...[
    'gsm',
    'gsm_ms',
    'qdm2',
    'qdmc',
    'mace3',
    'mace6',
    'dvaudio',
    's302m',
    'qcelp',
    'evrc',
    'wavpack',
    'als',
  ],
  ...[
    'adpcm_ima_qt',
    'adpcm_ima_wav',
    'adpcm_ms',
    'adpcm_swf',
    'adpcm_yamaha',
    'adpcm_ima_amv',
    'g722',
    'g726',
  ],
  ...[
    'pcm_alaw',
    'pcm_mulaw',
    'pcm_bluray',
    'pcm_dvd',
    'pcm_s8',
    'pcm_u8',
    'pcm_s16be',
    'pcm_s16le',
    'pcm_u16be',
  ],
  ...['pcm_u16le', 'pcm_s24be', 'pcm_s24le', 'pcm_s32be', 'pcm_s32le', 'pcm_f32be', 'pcm_f32le', 'pcm_f64be'],
  ...[
    'pcm_f64le',
    'pcm_s24daud',
    'pcm_s16le_planar',
    'pcm_s16be_planar',
    'pcm_s24le_planar',
    'pcm_s32le_planar',
  ],
];
