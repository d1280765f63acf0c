variable "subscription_id" {
  type        = string
  description = "The subscription in which the image is baked and kept."
  default     = env("ARM_SUBSCRIPTION_ID")
}

variable "tenant_id" {
  type        = string
  description = "The tenant of the service principal."
  default     = env("ARM_TENANT_ID")
}

variable "client_id" {
  type        = string
  description = "The service principal, or without a tenant a managed identity; empty means the machine's own, or the Azure CLI's login."
  default     = env("ARM_CLIENT_ID")
}

variable "client_secret" {
  type        = string
  description = "The service principal's secret."
  default     = env("ARM_CLIENT_SECRET")
  sensitive   = true
}

variable "client_cert_path" {
  type        = string
  description = "The service principal's certificate with its key, as PFX."
  default     = env("ARM_CLIENT_CERTIFICATE_PATH")
}

variable "client_cert_password" {
  type        = string
  description = "What the certificate's file is locked with."
  default     = env("ARM_CLIENT_CERTIFICATE_PASSWORD")
  sensitive   = true
}

variable "client_jwt" {
  type        = string
  description = "A token that stands for the service principal's secret."
  default     = ""
  sensitive   = true
}

variable "use_azure_cli" {
  type        = bool
  description = "Act as whoever has signed in with the Azure CLI."
  default     = false
}

variable "source_version" {
  type        = string
  description = "The version to start from: the newest base image's when the bake began, or the baked one that is checked."
}

variable "gallery_version" {
  type        = string
  description = "The version that the gallery gets, as 2026.1123.90."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.gallery_version))
    error_message = "A gallery version is three numbers with dots."
  }
}

variable "managed_image" {
  type        = string
  description = "The managed image that a plugin before 2.0 makes on its way to the gallery; others need none."
  default     = ""
}

variable "spot" {
  type        = bool
  description = "Spare capacity instead of a VM on demand."
  default     = false
}

variable "checking" {
  type        = bool
  description = "Only look at a finished image: nothing is made of the VM."
  default     = false
}

variable "ssh_port" {
  type        = number
  description = "SSH port of the VM."
  default     = 22
}

locals {
  definition = "/subscriptions/${var.subscription_id}/resourceGroups/goldbake-images/providers/Microsoft.Compute/galleries/goldbake/images/gpu-agent"
  artifact   = "${local.definition}/versions/${var.gallery_version}"

  run_tags = {
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent"
    "goldbake-expires" = var.expires
  }
  image_tags = merge(local.run_tags, {
    "goldbake-fingerprint" = var.fingerprint
    "goldbake-checks"      = "pending"
  })
}

source "azure-arm" "golden" {
  subscription_id      = var.subscription_id
  tenant_id            = var.client_id != "" ? var.tenant_id : null
  client_id            = var.client_id != "" ? var.client_id : null
  client_secret        = var.client_secret != "" ? var.client_secret : null
  client_cert_path     = var.client_cert_path != "" ? var.client_cert_path : null
  client_cert_password = var.client_cert_password != "" ? var.client_cert_password : null
  client_jwt           = var.client_jwt != "" ? var.client_jwt : null
  use_azure_cli_auth   = var.use_azure_cli

  location                 = "eastus"
  vm_size                  = "Standard_D4s_v5"
  temp_resource_group_name = "goldbake-${var.checking ? "check" : "bake"}-${var.bake}"
  temp_compute_name        = "goldbake-${var.bake}"
  azure_tags               = local.image_tags
  os_type                  = "Linux"
  os_disk_size_gb          = 32
  skip_create_image        = var.checking
  polling_duration_timeout = "60m"

  allowed_inbound_ip_addresses = [
    "0.0.0.0/0",
  ]

  dynamic "spot" {
    for_each = var.spot ? ["Delete"] : []

    content {
      eviction_policy = spot.value
      max_price       = -1
    }
  }

  shared_image_gallery {
    subscription   = var.subscription_id
    resource_group = "goldbake-images"
    gallery_name   = "goldbake"
    image_name     = "gpu-agent"
    image_version  = var.source_version
  }

  managed_image_name                = var.managed_image != "" ? "${var.managed_image}${var.checking ? "-check" : ""}" : null
  managed_image_resource_group_name = var.managed_image != "" ? "goldbake-images" : null

  communicator = "ssh"
  ssh_username = var.checking ? "goldbake" : "packer"
  ssh_port     = var.ssh_port
  ssh_timeout  = "15m"
}
