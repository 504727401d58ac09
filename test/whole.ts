/** True in `npm run test:full`: every case of a test that takes a sample in `npm test`. */
export const isWhole = process.env['SWARMVIRT_WHOLE'] === 'true'
