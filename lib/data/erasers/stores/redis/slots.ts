/** Which of a cluster's 16384 slots a key is in: CRC16 (XMODEM) of its hash tag, or of all of it. */
export const slotCount = 16_384

export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const tagged = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (let at = 0; at < tagged.length; at++) {
    crc ^= tagged.charCodeAt(at) << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  }
  return crc & (slotCount - 1)
}
