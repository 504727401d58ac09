/** A file `images/NAME` below the state root, without absolute paths and `..`. */
export const localImage = /^images\/(?!\.)[A-Za-z0-9._+-]{1,200}$/
export const localIso = /^isos\/(?!\.)[A-Za-z0-9._+-]{1,200}$/
