variable "check_folder" {
  type        = string
  description = "A folder on this machine that only this user can read."
}

variable "check_command" {
  type        = string
  description = "The program that checks a machine, ready for a shell."
}

variable "bake" {
  type        = string
  description = "Id of this bake: names and tags of everything that it creates carry it."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,19}$", var.bake))
    error_message = "The bake id has 1 to 20 of a-z, 0-9 and -."
  }
}

variable "expires" {
  type        = string
  description = "Seconds since 1970 after which the build machine may be removed by anyone."

  validation {
    condition     = can(regex("^[0-9]+$", var.expires))
    error_message = "The expiry is a number of seconds since 1970."
  }
}

variable "fingerprint" {
  type        = string
  description = "The beginning of the fingerprint of what is baked: a tag of the image."

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.fingerprint))
    error_message = "The fingerprint is 32 digits 0-9 a-f."
  }
}
